use coracle_api::conditions;
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::*;

/// One container's state in a letter: `w`aiting, `r`unning (not ready), `R`eady, `s`ucceeded,
/// `f`ailed, `c`rash loop after a failure, `d` waiting again after a success, `-` unknown.
fn statuses(names: &[&str], states: &str) -> Vec<ContainerStatus> {
    let status = |(name, state): (&&str, char)| {
        let exit = |exit_code| ContainerStateTerminated { exit_code, ..Default::default() };
        let waiting = Shown::Waiting { reason: "X".into(), message: None };
        let running = Shown::Running { since: Time(Timestamp::UNIX_EPOCH) };
        let (shown, last, ready, started) = match state {
            'w' => (waiting, None, false, false),
            'r' => (running, None, false, false),
            'R' => (running, None, true, true),
            's' => (Shown::Terminated(exit(0)), None, false, false),
            'f' => (Shown::Terminated(exit(1)), None, false, false),
            'c' => (waiting, Some(exit(1)), false, false),
            'd' => (waiting, Some(exit(0)), false, false),
            _ => return None,
        };
        let facts = Facts {
            shown,
            last,
            ready,
            started,
            restarts: 0,
            container_id: None,
            image_id: String::new(),
        };
        Some(container(&Container { name: (*name).into(), ..Default::default() }, facts))
    };
    names.iter().zip(states.chars()).filter_map(status).collect()
}

fn make(policy: &str, init: &[Value], regular: &[&str]) -> Pod {
    let containers: Vec<_> = regular.iter().map(|name| json!({"name": name})).collect();
    serde_json::from_value(json!({
        "metadata": {"name": "p", "generation": 3},
        "spec": {"restartPolicy": policy, "initContainers": init, "containers": containers},
    }))
    .unwrap()
}

fn judge(
    made: &Pod,
    init: Vec<ContainerStatus>,
    regular: Vec<ContainerStatus>,
    over: bool,
) -> PodStatus {
    pod(View {
        pod: made,
        init,
        regular,
        address: Some("10.244.0.2".parse().unwrap()),
        host: "127.0.0.1".parse().unwrap(),
        attached: true,
        over,
        verdict: None,
        start_time: Time(Timestamp::UNIX_EPOCH),
        previous: None,
        now: Time(Timestamp::UNIX_EPOCH),
    })
}

#[test]
fn phases_without_init_containers() {
    for (policy, states, over, expected) in [
        ("Always", "ww", false, "Pending"),
        ("Always", "Rw", false, "Pending"),
        ("Always", "RR", false, "Running"),
        ("Always", "rR", false, "Running"),
        ("Always", "Rf", false, "Running"),
        ("Always", "Rc", false, "Running"),
        ("Always", "ss", false, "Running"),
        ("Always", "cc", false, "Running"),
        ("Always", "ss", true, "Succeeded"),
        ("Always", "sf", true, "Failed"),
        ("Always", "R-", false, "Pending"),
        ("OnFailure", "ss", false, "Succeeded"),
        ("OnFailure", "sf", false, "Running"),
        ("OnFailure", "sc", false, "Running"),
        ("OnFailure", "sR", false, "Running"),
        ("OnFailure", "sf", true, "Failed"),
        ("Never", "ss", false, "Succeeded"),
        ("Never", "sf", false, "Failed"),
        ("Never", "sR", false, "Running"),
        ("Never", "fR", false, "Running"),
    ] {
        let made = make(policy, &[], &["a", "b"]);
        let status = judge(&made, vec![], statuses(&["a", "b"], states), over);
        assert_eq!(status.phase.as_deref(), Some(expected), "{policy} {states} over={over}");
    }
}

#[test]
fn phases_with_init_containers_and_sidecars() {
    let init = [json!({"name": "i"}), json!({"name": "s", "restartPolicy": "Always"})];
    for (policy, init_states, state, expected) in [
        ("Always", "ww", "w", "Pending"),
        ("Always", "rw", "w", "Pending"),
        ("Always", "cw", "w", "Pending"),
        ("Always", "fw", "w", "Pending"),
        ("Never", "fw", "w", "Failed"),
        ("Always", "sr", "w", "Pending"),
        ("Always", "sR", "w", "Pending"),
        ("Always", "sR", "R", "Running"),
        ("Always", "sc", "R", "Running"),
        ("Always", "sr", "R", "Running"),
        ("Never", "sR", "s", "Running"),
        ("Never", "sf", "s", "Succeeded"),
        ("Never", "ss", "f", "Failed"),
    ] {
        let made = make(policy, &init, &["a"]);
        let status =
            judge(&made, statuses(&["i", "s"], init_states), statuses(&["a"], state), false);
        assert_eq!(status.phase.as_deref(), Some(expected), "{policy} {init_states} {state}");
    }
}

/// `status`, or `status reason: message`.
fn condition(status: &PodStatus, type_: &str) -> String {
    let found = conditions::find(status.conditions.as_ref(), type_).unwrap();
    assert_eq!(found.observed_generation, Some(3));
    let parts = [Some(&found.status), found.reason.as_ref(), found.message.as_ref()];
    parts.into_iter().flatten().cloned().collect::<Vec<_>>().join(" | ")
}

#[test]
fn conditions_say_what_is_missing() {
    let made = make("Always", &[json!({"name": "i"})], &["a", "b"]);
    let status = judge(&made, statuses(&["i"], "r"), statuses(&["a", "b"], "ww"), false);
    assert_eq!(
        condition(&status, INITIALIZED),
        "False | ContainersNotInitialized | containers with incomplete status: [i]"
    );
    let unready = "False | ContainersNotReady | containers with unready status: [a b]";
    assert_eq!(condition(&status, READY), unready);
    assert_eq!(condition(&status, CONTAINERS_READY), unready);
    assert_eq!(condition(&status, SCHEDULED), "True");
    assert_eq!(condition(&status, READY_TO_START), "True");

    let mut init = statuses(&["i"], "s");
    init[0].ready = true;
    let status = judge(&made, init.clone(), statuses(&["a", "b"], "RR"), false);
    for type_ in [INITIALIZED, READY, CONTAINERS_READY] {
        assert_eq!(condition(&status, type_), "True", "{type_}");
    }
    let status =
        judge(&make("Never", &[json!({"name": "i"})], &["a"]), init, statuses(&["a"], "s"), false);
    assert_eq!(condition(&status, INITIALIZED), "True | PodCompleted");
    assert_eq!(condition(&status, READY), "False | PodCompleted");
}

#[test]
fn readiness_gates_hold_readiness_back() {
    let mut made = make("Always", &[], &["a"]);
    let gates = json!([{"conditionType": "example.com/lit"}]);
    made.spec.as_mut().unwrap().readiness_gates = serde_json::from_value(gates).unwrap();
    let status = judge(&made, vec![], statuses(&["a"], "R"), false);
    assert_eq!(condition(&status, CONTAINERS_READY), "True");
    assert_eq!(
        condition(&status, READY),
        "False | ReadinessGatesNotReady | corresponding condition of pod readiness gate \
         \"example.com/lit\" does not exist."
    );
    made.status = Some(PodStatus {
        conditions: Some(vec![PodCondition {
            type_: "example.com/lit".into(),
            status: "True".into(),
            ..Default::default()
        }]),
        ..Default::default()
    });
    let status = judge(&made, vec![], statuses(&["a"], "R"), false);
    assert_eq!(condition(&status, READY), "True");
}

#[test]
fn a_terminal_phase_waits_for_the_last_container_and_never_changes() {
    let made = make("Always", &[], &["a"]);
    let running = judge(&made, vec![], statuses(&["a"], "R"), false);
    let view = |states: &str, previous| {
        pod(View {
            pod: &made,
            init: vec![],
            regular: statuses(&["a"], states),
            address: None,
            host: "127.0.0.1".parse().unwrap(),
            attached: false,
            over: true,
            verdict: Some(("DeadlineExceeded", "too long")),
            start_time: Time(Timestamp::UNIX_EPOCH),
            previous: Some(previous),
            now: Time(Timestamp::UNIX_EPOCH),
        })
    };
    let stopping = view("R", &running);
    assert_eq!((stopping.phase.as_deref(), stopping.reason), (Some("Running"), None));
    let stopped = view("f", &running);
    assert_eq!(stopped.phase.as_deref(), Some("Failed"));
    assert_eq!(stopped.reason.as_deref(), Some("DeadlineExceeded"));
    assert_eq!(condition(&stopped, READY), "False | PodFailed");
    assert_eq!(view("s", &stopped).phase.as_deref(), Some("Failed"));
}

#[test]
fn times_move_only_when_a_condition_does() {
    let made = make("Always", &[], &["a"]);
    let first = judge(&made, vec![], statuses(&["a"], "r"), false);
    let later = Time(Timestamp::from_second(60).unwrap());
    let second = pod(View {
        pod: &made,
        init: vec![],
        regular: statuses(&["a"], "R"),
        address: None,
        host: "127.0.0.1".parse().unwrap(),
        attached: true,
        over: false,
        verdict: None,
        start_time: Time(Timestamp::UNIX_EPOCH),
        previous: Some(&first),
        now: later.clone(),
    });
    let time = |type_| {
        let found = conditions::find(second.conditions.as_ref(), type_).unwrap();
        found.last_transition_time.clone().unwrap()
    };
    assert_eq!(time(READY), later);
    assert_eq!(time(INITIALIZED), Time(Timestamp::UNIX_EPOCH));
}
