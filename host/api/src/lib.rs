//! The vocabulary that every room of the house shares. Pure: no I/O, no tasks, no state but the
//! clock's source and the dice' seed. May import no other room.

pub mod capabilities;
pub mod cause;
pub mod clock;
pub mod conditions;
pub mod cron;
pub mod dice;
pub mod duration;
pub mod events;
pub mod meta;
pub mod module;
pub mod nodeselector;
pub mod owner;
pub mod pods;
pub mod quantity;
pub mod quota;
pub mod selector;
pub mod tolerations;
pub mod version;
