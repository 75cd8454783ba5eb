// Whether a change of many objects would take over what somebody else has made.
#pragma once
#include "base/result.h"
#include "control/resolve.h"
#include "model/config.h"

namespace gorb::control {

// Nothing that is to be new where it is, by these steps towards `config`, may be in the kernel already, made
// by somebody else: Errc::exists names the first that is.
base::Status check_foreign(const Present& present, const model::Config& config, const Resolved& resolved);

// The same of any change that was resolved so.
base::Status check_foreign(const Present& present, const Change& change, const Resolved& resolved);

}  // namespace gorb::control
