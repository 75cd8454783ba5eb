// What a refused operation is called: the kernel's errno for it, as one Error for all drivers.
//
// The meaning of an errno depends on the operation (net/netfilter/ipvs/ip_vs_ctl.c): ENOENT is a missing
// destination, or for add_service and edit_service a missing scheduler or persistence engine; ESRCH is a
// missing service.
#pragma once
#include <string_view>

#include "base/result.h"
#include "ipvs/driver.h"

namespace gorb::ipvs {

// The errno with which every table must refuse `op` before it is even asked, 0 if it can be asked: values
// that the kernel's attributes can not carry, or would carry as something else.
int unspeakable(const Op& op);

// `table` says who refused: "the kernel". `words` is what it said beside the errno (NLMSGERR_ATTR_MSG), or
// "".
base::Error refusal(const Op& op, int os_error, std::string_view table, std::string_view words = {});

}  // namespace gorb::ipvs
