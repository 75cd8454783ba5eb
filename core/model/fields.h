// Reading the fields that services and backends have in common, for the codecs.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/json.h"
#include "base/result.h"
#include "model/rules.h"

namespace gorb::model {

// ASCII only
std::string lower(std::string_view text);

// `address` or `host`; both only if they name the same.
std::optional<base::Ip> read_address(base::ObjectReader& doc);
// The name under which the document gives the address: faults point there.
std::string address_name(const base::ObjectReader& doc);
std::optional<uint16_t> read_port(base::ObjectReader& doc);

// Whole seconds, or a duration text of whole seconds, within the range of persistence.
std::optional<uint32_t> persistence_seconds(const Poco::Dynamic::Var& value);

// Adds the rules' violations to the faults found in reading: what was misread already is not reported twice,
// and "/address" is pointed to by the name that the document used.
void add_violations(std::vector<base::Fault>& faults, std::vector<base::Fault> violations,
                    const std::string& address_name);

// How deep arrays and objects are nested in it; 0 for anything else. At most what parse_json() lets in.
size_t levels(const Poco::Dynamic::Var& value);

// RFC 7396: what becomes of `target` (nullopt: there is none) under `patch`, which is not null.
Poco::Dynamic::Var merge_patch(const std::optional<Poco::Dynamic::Var>& target,
                               const Poco::Dynamic::Var& patch);

}  // namespace gorb::model
