// Option tables of plugins, and values checked against them.
//
// A value is given as JSON text and read by the option's type:
// - BOOL: true, false (also "true", "false", as .ini files and old clients write it)
// - INT: a whole number within the range (also "8080")
// - DURATION: "5s"; a number means seconds
// - TEXT: a string; a number as its JSON text has it; an array of strings and numbers joined with ",". Of
//   what came by REST that text is canonical (of 1.10 "1.1", of 1e3 "1000"): who means the digits writes a
//   string
// - JSON: anything, kept in canonical form
//
// A range is "low..high" for INT and DURATION, either side may be missing, or a list of values "GET|HEAD".
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "gorb/abi.h"

namespace gorb::plugin {

// A gorb_option as values of our own.
struct OptionSpec {
    std::string name;
    uint32_t type = 0;   // GORB_BOOL ...
    uint32_t flags = 0;  // GORB_REQUIRED, GORB_SECRET
    std::optional<std::string> fallback, range;
    std::string help;

    std::string type_text() const;  // "boolean", "integer", "duration", "text", "json"
};

// Reads a plugin's table. Errc::invalid names the entry that is wrong (unknown type, bad name, fallback
// outside the range).
base::Result<std::vector<OptionSpec>> read_options(const gorb_option* table);

// Validated values, as a plugin sees them. Immutable; lives as long as anyone holds it.
class Config {
  public:
    const gorb_config* c() const;
    ~Config();

    // `given` is name -> JSON text. All faults at once, with pointers "/NAME": unknown names (the known ones
    // are listed), wrong types, values out of range, required ones missing.
    static base::Result<std::shared_ptr<const Config>> make(const std::vector<OptionSpec>& specs,
                                                            const std::map<std::string, std::string>& given);

  private:
    struct Impl;
    explicit Config(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace gorb::plugin
