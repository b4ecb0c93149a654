//! `pause`: holds a pod open at no cost.

fn main() {
    coracle_guest::shutdown::wait();
}
