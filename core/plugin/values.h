// One option's value: read from JSON or from words, and held against the option's range. Pure.
#pragma once
#include <Poco/Dynamic/Var.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "plugin/options.h"

namespace gorb::plugin {

struct Value {
    uint32_t type = 0;
    int64_t number = 0;  // BOOL: 0, 1; INT; DURATION: ns
    std::string text;    // TEXT, JSON
};

// The sentence of an error says what is right ("must be a whole number from 1 to 65535"), never what was
// given: it may be a secret.
base::Result<Value> read_words(const OptionSpec& spec, std::string_view words);
// `text` is the JSON text of `json`.
base::Result<Value> read_json(const OptionSpec& spec, const Poco::Dynamic::Var& json, std::string_view text);
// Is the range itself one that can be read?
base::Status check_range(const OptionSpec& spec);

}  // namespace gorb::plugin
