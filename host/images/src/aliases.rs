//! Well-known image names, and the ready-made modules that stand in for them. Openly: whoever
//! resolves one is told.

/// Repositories as they are written without a registry, or with one that is not Docker Hub.
const ALIASES: &[(&str, &str)] = &[
    ("alpine", "toolbox"),
    ("busybox", "toolbox"),
    ("debian", "toolbox"),
    ("gcr.io/google_containers/busybox", "toolbox"),
    ("gcr.io/google_containers/pause", "pause"),
    ("httpd", "web-server"),
    ("nginx", "web-server"),
    ("pause", "pause"),
    ("registry.k8s.io/busybox", "toolbox"),
    ("registry.k8s.io/e2e-test-images/busybox", "toolbox"),
    ("registry.k8s.io/e2e-test-images/httpd", "web-server"),
    ("registry.k8s.io/e2e-test-images/nginx", "web-server"),
    ("registry.k8s.io/nginx-slim", "web-server"),
    ("registry.k8s.io/pause", "pause"),
    ("ubuntu", "toolbox"),
];

/// The ready-made module for an image of this repository (no tag, no digest).
pub(crate) fn ready_made(repository: &str) -> Option<&'static str> {
    let name = ["docker.io/", "index.docker.io/"]
        .iter()
        .find_map(|hub| repository.strip_prefix(hub))
        .unwrap_or(repository);
    let name = name.strip_prefix("library/").unwrap_or(name);
    ALIASES.iter().find(|(known, _)| *known == name).map(|(_, module)| *module)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_image_has_several_spellings() {
        for image in ["nginx", "library/nginx", "docker.io/nginx", "docker.io/library/nginx"] {
            assert_eq!(ready_made(image), Some("web-server"), "{image}");
        }
        assert_eq!(ready_made("registry.k8s.io/pause"), Some("pause"));
        assert_eq!(ready_made("gcr.io/google_containers/pause"), Some("pause"));
        for image in ["example.com/nginx", "mine/nginx", "nginx2", ""] {
            assert_eq!(ready_made(image), None, "{image}");
        }
    }
}
