// What declarative files say, and what operators have done since by REST with what they say.
#pragma once
#include "model/config.h"
#include "model/snapshot.h"

namespace gorb::control {

// The services of the files as they are to be beside what operators have done: drained backends stay drained
// where the files say nothing else, and what was asked to go when its connections have ended goes then.
model::Config as_operated(model::Config config, const model::Snapshot& now);

// Was the service asked to go when its connections have ended, and is nothing of `config` in its place? Then
// it need not be taken away, though no file has it any more.
bool goes_by_itself(const model::ServiceEntry& service, const model::Config& config);

}  // namespace gorb::control
