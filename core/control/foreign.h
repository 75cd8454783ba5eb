// Whether a change would take over what somebody else has made.
#pragma once
#include "base/result.h"
#include "control/resolve.h"
#include "model/config.h"

namespace gorb::control {

// May a backend that is new in this service begin outside the kernel's table (prepare())? Then nothing is
// made that could find somebody else's in its place, which would be removed as ours.
bool may_wait(const model::Service& service, const model::Backend& backend);

// Is nothing foreign in the place of a backend that is to be new in this service of ours? Errc::exists. It is
// looked for where it may wait, and where that costs little (Present::few). Of others the kernel says so when
// they are made, but by then their row is on disk, and claims what is there if gorbd is killed before that is
// taken back.
base::Status check_free(const Present& present, const model::ServiceEntry& service,
                        const model::Backend& wanted);

// May what the kernel has in the place of a service, or of a backend in one, be taken over, if there is
// anything? Errc::exists where gorb has no word for it.
base::Status check_adoptable(const Present& present, const model::ServiceKey& key,
                             const std::optional<base::Endpoint>& backend);

// Nothing that is to be new where it is, by these steps towards `config`, may be in the kernel already, made
// by somebody else: Errc::exists names the first that is.
base::Status check_foreign(const Present& present, const model::Config& config, const Resolved& resolved);

// The same of any change that was resolved so.
base::Status check_foreign(const Present& present, const Change& change, const Resolved& resolved);

}  // namespace gorb::control
