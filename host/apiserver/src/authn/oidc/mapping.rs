//! Whom a token stands for, by what its claims say.

use coracle_cel::{Activation, Budget, Env, Field, ObjectType, Program, Type, Value};
use serde_json::Value as Json;

use super::configuration::{ClaimRule, Mappings, Source, UserRule};
use crate::authn::Identity;
use crate::authn::service_account::strings;

/// How claims become a user, and what must be true of both.
#[derive(Debug)]
pub(super) struct Mapping {
    username: Part,
    groups: Option<Part>,
    uid: Option<Part>,
    extra: Vec<(String, Program)>,
    required: Vec<(String, String)>,
    claim_rules: Vec<Rule>,
    user_rules: Vec<Rule>,
}

/// Where a part of an identity comes from.
#[derive(Debug)]
enum Part {
    Claim { name: String, prefix: String },
    Expression(Program),
}

/// An expression that must be true, and what is said if it is not.
#[derive(Debug)]
struct Rule {
    program: Program,
    message: String,
}

impl Rule {
    fn new(env: &Env, text: &str, message: String, path: &str) -> Result<Self, String> {
        Ok(Self { program: compile(env, text, &[Type::Bool], path)?, message })
    }
}

fn compile(env: &Env, text: &str, wanted: &[Type], path: &str) -> Result<Program, String> {
    if text.trim().is_empty() {
        return Err(format!("{path}: Required value: expression is required"));
    }
    env.compile(text, wanted).map_err(|why| format!("{path}: Invalid value: {text:?}: {why}"))
}

/// The variable of expressions about users: `UserInfo`.
fn user_type() -> Type {
    let strings = || Type::list(Type::String);
    let fields = [
        ("username", Type::String),
        ("uid", Type::String),
        ("groups", strings()),
        ("extra", Type::map(Type::String, strings())),
    ];
    let fields =
        fields.map(|(name, r#type)| Field { property: name.to_owned(), r#type }).into_iter();
    Type::Object(ObjectType::new("kubernetes.UserInfo", fields.collect()).into())
}

impl Part {
    /// `prefixed` says whether a claim needs a prefix.
    fn new(env: &Env, from: Source, path: &str, prefixed: bool) -> Result<Option<Self>, String> {
        let Source { claim, prefix, expression } = from;
        if !expression.is_empty() && !claim.is_empty() {
            return Err(format!(
                "{path}: Invalid value: \"\": claim and expression can't both be set"
            ));
        }
        if !expression.is_empty() {
            if prefix.is_some() {
                return Err(format!(
                    "{path}.prefix: Invalid value: prefix can't be set when expression is set"
                ));
            }
            let program = compile(env, &expression, &[], &format!("{path}.expression"))?;
            return Ok(Some(Self::Expression(program)));
        }
        if claim.is_empty() {
            return Ok(None);
        }
        if prefixed && prefix.is_none() {
            return Err(format!(
                "{path}.prefix: Required value: prefix is required when claim is set. It can be set \
                 to an empty string to disable prefixing"
            ));
        }
        Ok(Some(Self::Claim { name: claim, prefix: prefix.unwrap_or_default() }))
    }
}

impl Mapping {
    pub(super) fn new(
        mappings: Mappings,
        claim_rules: Vec<ClaimRule>,
        user_rules: Vec<UserRule>,
        path: &str,
    ) -> Result<Self, String> {
        let claims = Env::new().variable("claims", Type::Dyn);
        let at = |part: &str| format!("{path}.claimMappings.{part}");
        let username = Part::new(&claims, mappings.username, &at("username"), true)?;
        let username = username.ok_or_else(|| {
            format!("{}: Required value: claim or expression is required", at("username"))
        })?;
        let mut extra: Vec<(String, Program)> = vec![];
        for (index, given) in mappings.extra.into_iter().enumerate() {
            let path = at(&format!("extra[{index}]"));
            let key = given.key;
            if !key.contains('/') || key.to_lowercase() != key {
                return Err(format!(
                    "{path}.key: Invalid value: {key:?}: must be a lowercase domain-prefixed path \
                     (such as \"acme.io/foo\")"
                ));
            }
            if extra.iter().any(|(known, _)| *known == key) {
                return Err(format!("{path}.key: Duplicate value: {key:?}"));
            }
            let path = format!("{path}.valueExpression");
            extra.push((key, compile(&claims, &given.value_expression, &[], &path)?));
        }
        let mut required = vec![];
        let mut rules = vec![];
        for (index, rule) in claim_rules.into_iter().enumerate() {
            let path = format!("{path}.claimValidationRules[{index}]");
            match (rule.claim.is_empty(), rule.expression.is_empty()) {
                (false, true) => required.push((rule.claim, rule.required_value)),
                (true, false) => {
                    let path = format!("{path}.expression");
                    rules.push(Rule::new(&claims, &rule.expression, rule.message, &path)?);
                }
                (true, true) => {
                    return Err(format!("{path}: Required value: claim or expression is required"));
                }
                (false, false) => {
                    return Err(format!(
                        "{path}: Invalid value: \"\": claim and expression can't both be set"
                    ));
                }
            }
        }
        let user = Env::new().variable("user", user_type());
        let mut about_users = vec![];
        for (index, rule) in user_rules.into_iter().enumerate() {
            let path = format!("{path}.userValidationRules[{index}].expression");
            about_users.push(Rule::new(&user, &rule.expression, rule.message, &path)?);
        }
        Ok(Self {
            username,
            groups: Part::new(&claims, mappings.groups, &at("groups"), true)?,
            uid: Part::new(&claims, mappings.uid, &at("uid"), false)?,
            extra,
            required,
            claim_rules: rules,
            user_rules: about_users,
        })
    }

    /// The user; or why the claims, or what they make, do not do.
    pub(super) fn identity(&self, claims: &Json) -> Result<Identity, String> {
        let mut budget = Budget::default();
        let mut evaluate = |program: &Program, what: &str| {
            let activation = Activation::new().bind("claims", Value::json(claims));
            let value = program.evaluate(&activation, &mut budget);
            let value = value.and_then(|value| value.to_json());
            value.map_err(|error| format!("error evaluating {what} claim expression: {error}"))
        };
        let name = match &self.username {
            Part::Claim { name, prefix } => {
                let text = text(claims, name)
                    .map_err(|why| format!("parse username claims {name:?}: {why}"))?;
                if name == "email" && claims.get("email_verified").is_some_and(|v| *v != true) {
                    return Err("email not verified".into());
                }
                format!("{prefix}{text}")
            }
            Part::Expression(program) => match evaluate(program, "username")? {
                Json::String(text) => text,
                _ => return Err("username claim expression must return a string".into()),
            },
        };
        let groups = match &self.groups {
            Some(Part::Claim { name, prefix }) => match claims.get(name) {
                None => vec![],
                Some(Json::String(_) | Json::Array(_)) => {
                    let groups = strings(&claims[name]).into_iter();
                    groups.map(|group| format!("{prefix}{group}")).collect()
                }
                Some(_) => {
                    return Err(format!("parse groups claim {name:?}: it is no list of strings"));
                }
            },
            Some(Part::Expression(program)) => listed(evaluate(program, "group")?)
                .ok_or("group claim expression must return a string or a list of strings")?,
            None => vec![],
        };
        let uid = match &self.uid {
            Some(Part::Claim { name, .. }) => {
                text(claims, name).map_err(|why| format!("parse uid claim {name:?}: {why}"))?
            }
            Some(Part::Expression(program)) => match evaluate(program, "uid")? {
                Json::String(text) => text,
                _ => return Err("uid claim expression must return a string".into()),
            },
            None => String::new(),
        };
        let mut extra = vec![];
        for (key, program) in &self.extra {
            let values = listed(evaluate(program, "extra")?)
                .ok_or("extra claim expression must return a string or a list of strings")?;
            if !values.is_empty() {
                extra.push((key.clone(), values));
            }
        }
        extra.sort();
        for (claim, value) in &self.required {
            if claims.get(claim).is_none() {
                return Err(format!("required claim {claim} not present in ID token"));
            }
            let given = text(claims, claim).map_err(|why| format!("parse claim {claim}: {why}"))?;
            if given != *value {
                return Err(format!(
                    "required claim {claim} value does not match. Got = {given}, want = {value}"
                ));
            }
        }
        let activation = Activation::new().bind("claims", Value::json(claims));
        expect(&self.claim_rules, &activation, &mut budget, "claim validation expression")?;
        let identity = Identity { name, uid, groups, extra };
        if !self.user_rules.is_empty() {
            let user = as_json(&identity);
            let activation = Activation::new().bind("user", Value::typed(&user, &user_type()));
            expect(&self.user_rules, &activation, &mut budget, "user info validation rule")?;
        }
        Ok(identity)
    }
}

fn expect(
    rules: &[Rule],
    activation: &Activation<'_>,
    budget: &mut Budget,
    what: &str,
) -> Result<(), String> {
    for Rule { program, message } in rules {
        match program.evaluate(activation, budget) {
            Ok(Value::Bool(true)) => {}
            Ok(_) => {
                let said = if message.is_empty() { "it is not true" } else { message };
                return Err(format!(
                    "error evaluating {what}: validation expression failed: {said}"
                ));
            }
            Err(error) => return Err(format!("error evaluating {what}: {error}")),
        }
    }
    Ok(())
}

fn text(claims: &Json, name: &str) -> Result<String, &'static str> {
    match claims.get(name) {
        None => Err("claim not present"),
        Some(Json::String(text)) => Ok(text.clone()),
        Some(_) => Err("it is no string"),
    }
}

/// One string or several; empty ones do not count.
fn listed(value: Json) -> Option<Vec<String>> {
    let values = match value {
        Json::Null => vec![],
        Json::String(one) => vec![one],
        Json::Array(several) => several
            .into_iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect::<Option<_>>()?,
        _ => return None,
    };
    Some(values.into_iter().filter(|value| !value.is_empty()).collect())
}

fn as_json(identity: &Identity) -> Json {
    let Identity { name, uid, groups, extra } = identity;
    let extra: serde_json::Map<_, _> =
        extra.iter().map(|(key, values)| (key.clone(), values.clone().into())).collect();
    serde_json::json!({ "username": name, "uid": uid, "groups": groups, "extra": extra })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn mapping(mappings: &str, claim_rules: &str, user_rules: &str) -> Mapping {
        Mapping::new(
            serde_yaml::from_str(mappings).unwrap(),
            serde_yaml::from_str(claim_rules).unwrap(),
            serde_yaml::from_str(user_rules).unwrap(),
            "jwt[0]",
        )
        .unwrap()
    }

    #[test]
    fn claims_are_names_and_groups() {
        let by_claims = mapping(
            "{username: {claim: email, prefix: 'us:'}, groups: {claim: roles, prefix: 'g:'}, uid: {claim: sub}}",
            "[{claim: hd, requiredValue: example.com}]",
            "[]",
        );
        let claims = |more: Json| {
            let mut all = json!({ "email": "jane@example.com", "sub": "7", "hd": "example.com" });
            json_patch::merge(&mut all, &more);
            all
        };
        let found = by_claims.identity(&claims(json!({ "roles": ["a", "b"] }))).unwrap();
        assert_eq!((&*found.name, &*found.uid), ("us:jane@example.com", "7"));
        assert_eq!(found.groups, ["g:a", "g:b"]);
        let found = by_claims.identity(&claims(json!({ "roles": "one" }))).unwrap();
        assert_eq!(found.groups, ["g:one"]);
        for (more, expected) in [
            (json!({ "email": null }), "parse username claims \"email\": claim not present"),
            (json!({ "email_verified": false }), "email not verified"),
            (json!({ "roles": 7 }), "parse groups claim \"roles\": it is no list of strings"),
            (json!({ "hd": null }), "required claim hd not present in ID token"),
            (
                json!({ "hd": "x" }),
                "required claim hd value does not match. Got = x, want = example.com",
            ),
        ] {
            assert_eq!(by_claims.identity(&claims(more.clone())).unwrap_err(), expected, "{more}");
        }
        assert!(by_claims.identity(&claims(json!({ "email_verified": true }))).is_ok());
    }

    #[test]
    fn expressions_say_who_it_is() {
        let by_expressions = mapping(
            "{username: {expression: \"claims.sub + '@here'\"},
              groups: {expression: \"claims.roles.split(',')\"},
              uid: {expression: claims.sub},
              extra: [{key: example.com/team, valueExpression: claims.team}]}",
            "[{expression: 'claims.exp - claims.iat <= 3600', message: too long}]",
            "[{expression: \"!user.username.startsWith('system:')\", message: reserved}]",
        );
        let claims =
            json!({ "sub": "jane", "roles": "a,b", "team": ["x", ""], "exp": 3600, "iat": 0 });
        let found = by_expressions.identity(&claims).unwrap();
        assert_eq!((&*found.name, &*found.uid), ("jane@here", "jane"));
        assert_eq!(found.groups, ["a", "b"]);
        assert_eq!(found.extra, [("example.com/team".to_owned(), vec!["x".to_owned()])]);
        let with = |key: &str, value: Json| {
            let mut changed = claims.clone();
            changed[key] = value;
            by_expressions.identity(&changed).unwrap_err()
        };
        assert!(with("exp", json!(9999)).ends_with("validation expression failed: too long"));
        assert!(with("sub", json!("system:x")).ends_with("validation expression failed: reserved"));
        assert!(with("team", json!(1)).starts_with("extra claim expression must return"));
        assert!(with("roles", json!(null)).starts_with("error evaluating group claim expression"));
    }
}
