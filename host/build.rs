//! The dashboard and the ready-made modules are embedded: a new file among them means a new build.

fn main() {
    println!("cargo::rerun-if-changed=../target/web");
    println!("cargo::rerun-if-changed=../target/modules");
}
