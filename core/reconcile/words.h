// Settings of table entries for people, where plan.h's settings_text() says too much: only what differs.
#pragma once
#include <string>
#include <utility>

#include "ipvs/driver.h"

namespace gorb::reconcile {

// {"weight 0", "weight 100"}: each side's words that the other has not.
std::pair<std::string, std::string> words_that_differ(const ipvs::ServiceRecord& before,
                                                      const ipvs::ServiceRecord& after);
std::pair<std::string, std::string> words_that_differ(const ipvs::DestRecord& before,
                                                      const ipvs::DestRecord& after);

}  // namespace gorb::reconcile
