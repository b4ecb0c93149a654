//! What a guest may import: the host's side of the bargain, as a list. The sandbox provides exactly
//! this (a test of its holds it to that); the image store refuses modules that ask for more.

/// The core module namespace of WASI preview 1.
pub const PREVIEW1: &str = "wasi_snapshot_preview1";

/// The interfaces that components may import, each with the version line in which it is provided.
pub const INTERFACES: &[(&str, &str)] = &[
    ("coracle:guest/shutdown", "0.1"),
    ("wasi:cli/environment", "0.2"),
    ("wasi:cli/exit", "0.2"),
    ("wasi:cli/stderr", "0.2"),
    ("wasi:cli/stdin", "0.2"),
    ("wasi:cli/stdout", "0.2"),
    ("wasi:cli/terminal-input", "0.2"),
    ("wasi:cli/terminal-output", "0.2"),
    ("wasi:cli/terminal-stderr", "0.2"),
    ("wasi:cli/terminal-stdin", "0.2"),
    ("wasi:cli/terminal-stdout", "0.2"),
    ("wasi:clocks/monotonic-clock", "0.2"),
    ("wasi:clocks/wall-clock", "0.2"),
    ("wasi:filesystem/preopens", "0.2"),
    ("wasi:filesystem/types", "0.2"),
    ("wasi:http/outgoing-handler", "0.2"),
    ("wasi:http/types", "0.2"),
    ("wasi:io/error", "0.2"),
    ("wasi:io/poll", "0.2"),
    ("wasi:io/streams", "0.2"),
    ("wasi:random/insecure", "0.2"),
    ("wasi:random/insecure-seed", "0.2"),
    ("wasi:random/random", "0.2"),
    ("wasi:sockets/instance-network", "0.2"),
    ("wasi:sockets/ip-name-lookup", "0.2"),
    ("wasi:sockets/network", "0.2"),
    ("wasi:sockets/tcp", "0.2"),
    ("wasi:sockets/tcp-create-socket", "0.2"),
    ("wasi:sockets/udp", "0.2"),
    ("wasi:sockets/udp-create-socket", "0.2"),
];

/// The functions of [`PREVIEW1`] that core modules may import.
pub const PREVIEW1_FUNCTIONS: &[&str] = &[
    "args_get",
    "args_sizes_get",
    "clock_res_get",
    "clock_time_get",
    "environ_get",
    "environ_sizes_get",
    "fd_advise",
    "fd_allocate",
    "fd_close",
    "fd_datasync",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "fd_fdstat_set_rights",
    "fd_filestat_get",
    "fd_filestat_set_size",
    "fd_filestat_set_times",
    "fd_pread",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_pwrite",
    "fd_read",
    "fd_readdir",
    "fd_renumber",
    "fd_seek",
    "fd_sync",
    "fd_tell",
    "fd_write",
    "path_create_directory",
    "path_filestat_get",
    "path_filestat_set_times",
    "path_link",
    "path_open",
    "path_readlink",
    "path_remove_directory",
    "path_rename",
    "path_symlink",
    "path_unlink_file",
    "poll_oneoff",
    "proc_exit",
    "proc_raise",
    "random_get",
    "sched_yield",
    "sock_accept",
    "sock_recv",
    "sock_send",
    "sock_shutdown",
];

/// Whether components may import `name`, for example `wasi:io/poll@0.2.3`. As component linkers
/// do it, every release of a provided version line is the same interface; a pre-release is not.
pub fn interface_provided(name: &str) -> bool {
    let Some((interface, version)) = name.split_once('@') else { return false };
    INTERFACES.iter().any(|&(known, line)| {
        known == interface
            && version.strip_prefix(line).and_then(|rest| rest.strip_prefix('.')).is_some_and(
                |patch| !patch.is_empty() && patch.bytes().all(|byte| byte.is_ascii_digit()),
            )
    })
}

/// Whether core modules may import the function `name` from `module`.
pub fn function_provided(module: &str, name: &str) -> bool {
    module == PREVIEW1 && PREVIEW1_FUNCTIONS.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_one_line_are_one_interface() {
        for version in ["0.2.0", "0.2.3", "0.2.12", "0.2.99"] {
            assert!(interface_provided(&format!("wasi:io/poll@{version}")), "{version}");
        }
        for version in ["0.1.0", "0.3.0", "0.20.0", "0.2", "0.2.", "0.2.0-rc-2023-11-10", "1.0.0"] {
            assert!(!interface_provided(&format!("wasi:io/poll@{version}")), "{version}");
        }
        assert!(!interface_provided("wasi:io/poll"));
        assert!(!interface_provided("wasi:nn/graph@0.2.0"));
    }

    #[test]
    fn functions_are_known_by_module_and_name() {
        assert!(function_provided(PREVIEW1, "fd_write"));
        assert!(!function_provided(PREVIEW1, "fd_frobnicate"));
        assert!(!function_provided("env", "fd_write"));
    }
}
