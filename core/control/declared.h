// What documents say, above all declarative files, and what operators have done by REST with what they say.
#pragma once
#include <string>

#include "model/config.h"
#include "model/snapshot.h"

namespace gorb::control {

// The services of the files as they are to be beside what operators have done: drained backends stay drained
// where the files say nothing else, and what was asked to go when its connections have ended goes then.
model::Config as_operated(model::Config config, const model::Snapshot& now);

// Documents do not undo a removal: what leaves a service that is being removed goes on leaving it, also where
// `config` says otherwise. What of it did, in words, "" for nothing.
std::string keep_removals(model::Config& config, const model::Snapshot& now);

// Is nothing of a service that is being removed on its way out, though it has backends? Then its removal was
// called off.
bool is_called_off(const model::ServiceEntry& service);

// Was the service asked to go when its connections have ended, and is nothing of `config` in its place? Then
// it need not be taken away, though no file has it any more.
bool goes_by_itself(const model::ServiceEntry& service, const model::Config& config);

}  // namespace gorb::control
