// A step of the desired state as what follows from it: the next state, and the rows that make it durable.
// Pure.
#pragma once
#include "control/resolve.h"
#include "model/snapshot.h"
#include "store/database.h"

namespace gorb::control {

// The state after a step.
model::Snapshot after(const model::Snapshot& now, const Step& step);

// The kernel entries that stop being wanted with a step. They are leaving until the kernel is known to have
// let them go. Granted: what becomes a row has passed the guard.
std::vector<store::Leaving> leaving_of(const Step& step);

// Does a backend stay and get another address? What was known of its health goes with the old one.
bool moves(const Step& step);
// The same of a service.
bool rekeys(const Step& step);

// The rows of a step, and those that take it back.
void write(store::Write& out, const Step& step);
void unwrite(store::Write& out, const Step& step);

}  // namespace gorb::control
