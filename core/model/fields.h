// Reading the fields that services and backends have in common, for the codecs.
#pragma once
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/duration.h"
#include "base/json.h"
#include "base/result.h"
#include "model/rules.h"

namespace gorb::model {

// Whether what the document leaves out has its default or its present value.
enum class Mode { create, patch };

// "", or null: what clients with upstream gorb's types send for a text, or an object, that they do not set.
bool left_out(base::ObjectReader& doc, std::string_view name);
bool is_null(base::ObjectReader& doc, std::string_view name);
// Whether it is one of the zero values of Go (0, false, "", null) in a document with `"method": ""`: upstream
// gorb's types have no other word for what their client does not set. Nobody else writes such a method.
bool unset_by_go(base::ObjectReader& doc, std::string_view name);

// The readers of one member below leave `to` as it is where the document has none, give it `fallback` for
// null, which in a PATCH resets it (RFC 7396) and elsewhere is what is not set, and make a fault of what they
// can not read.

// A duration text or whole seconds, at most max_drain of those, which no other rule goes beyond.
void read_duration(base::ObjectReader& doc, std::string_view name, base::Nanos fallback, base::Nanos& to);
// "10%" or 10, within min..max.
void read_percent(base::ObjectReader& doc, std::string_view name, uint32_t fallback, uint32_t min,
                  uint32_t max, uint32_t& to);
std::string percent_text(uint32_t percent);  // "10%"
void read_whole(base::ObjectReader& doc, std::string_view name, uint32_t fallback, uint32_t min, uint32_t max,
                uint32_t& to);
void read_flag(base::ObjectReader& doc, std::string_view name, bool fallback, bool& to);
// One of the words that `text_of` gives for `all`, in any case. True: there was a good one.
template <class E>
bool read_word(base::ObjectReader& doc, std::string_view name, std::initializer_list<E> all,
               std::string_view (*text_of)(E), E& to);

// ASCII only
std::string lower(std::string_view text);

// `address` or `host`; both only if they name the same.
std::optional<base::Ip> read_address(base::ObjectReader& doc);
// Whether there is one to be read, good or bad.
bool has_address(base::ObjectReader& doc);
// The name under which the document gives the address: faults point there.
std::string address_name(const base::ObjectReader& doc);
std::optional<uint16_t> read_port(base::ObjectReader& doc);

// Whole seconds, or a duration text of whole seconds, within the range of persistence.
std::optional<uint32_t> persistence_seconds(const Poco::Dynamic::Var& value);

// "255.255.255.0" -> 24; nullopt if the ones do not come first.
std::optional<int64_t> dotted_prefix(std::string_view text);

// Adds the rules' violations to the faults found in reading: what was misread already is not reported twice,
// and "/address" is pointed to by the name that the document used.
void add_violations(std::vector<base::Fault>& faults, std::vector<base::Fault> violations,
                    const std::string& address_name);

// How deep arrays and objects are nested in it; 0 for anything else. At most what parse_json() lets in.
size_t levels(const Poco::Dynamic::Var& value);

// RFC 7396: what becomes of `target` (nullopt: there is none) under `patch`, which is not null.
Poco::Dynamic::Var merge_patch(const std::optional<Poco::Dynamic::Var>& target,
                               const Poco::Dynamic::Var& patch);

template <class E>
bool read_word(base::ObjectReader& doc, std::string_view name, std::initializer_list<E> all,
               std::string_view (*text_of)(E), E& to) {
    const auto text = doc.text(name);
    if (!text) return false;
    const std::string word = lower(*text);
    std::string words;
    for (const E e : all) {
        if (word == text_of(e)) {
            to = e;
            return true;
        }
        if (!words.empty()) words += ", ";
        words.append("\"").append(text_of(e)).append("\"");
    }
    doc.fault(name, "must be one of " + words);
    return false;
}

}  // namespace gorb::model
