//! Watches: what opens incidents, what closes them, what opens none, and what receivers are told.

#[path = "../common/mod.rs"]
mod common;

mod alertmanager;
mod callbacks;
mod causes;
mod end_to_end;
mod flapping;
mod hostile;
mod incidents;
mod life;
mod mass;
mod origins;
mod paths;
mod quiet;
mod receivers;
mod robust;
mod route_count;
mod rpki;
mod scene;
mod served;
mod storms;
mod world;
