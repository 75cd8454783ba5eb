// Strict reading of small JSON documents into Poco::JSON's values; json_write.h writes them.
//
// Reading collects every fault with its RFC 6901 pointer instead of stopping at the first.
//
// The text is read by RapidJSON's Reader, not by Poco's Parser: Poco 1.11 takes the last of two members with
// one name, reads 18446744073709551616 as 0 and -9223372036854775809 as -9223372036854775808, and tells its
// caller nothing of it.
#pragma once
#include <Poco/JSON/Object.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json_write.h"
#include "base/result.h"

namespace gorb::base {

// RFC 8259, nothing more lenient: no comments, no duplicate keys, no trailing text, UTF-8 only, at most 32
// levels, no NUL in texts (as section 9 allows). Whole numbers are Poco::Int64 where they fit, else
// Poco::UInt64, else a fault; others are double. A whole one up to 2^53 is kept as the integer it is (5.0 as
// 5). Errc::invalid with the place of the fault in words. Errc::too_large for what would take much more
// memory than documents of this size do: millions of empty objects.
Result<Poco::Dynamic::Var> parse_json(std::string_view text);
// The same, and the outermost value must be an object.
Result<Poco::JSON::Object::Ptr> parse_json_object(std::string_view text);

// JSON text of a parsed value with sorted keys and no spaces: equal values have equal texts.
std::string canonical_json(const Poco::Dynamic::Var& value);

// "~" and "/" escaped as RFC 6901 wants a token.
std::string pointer_token(std::string_view token);

// Reads the members of one object. Each getter takes a member; a wrong type or value is a fault and gives
// nullopt, as an absent member does. JSON null counts as wrong. finish() makes a fault of every member not
// asked for. A name that is asked for must outlive the reader, as those that stand in the program do.
class ObjectReader {
  public:
    // `pointer` is where the object stands, "" for the document. `faults` must outlive the reader.
    ObjectReader(Poco::JSON::Object::Ptr object, std::string pointer, std::vector<Fault>& faults);

    bool has(std::string_view name) const { return find(name) != nullptr; }
    std::optional<std::string> text(std::string_view name);
    std::optional<bool> boolean(std::string_view name);
    // A JSON number without fraction (5.0 has none) within the range; `min..max` is named in the fault.
    std::optional<int64_t> integer(std::string_view name, int64_t min, int64_t max);
    std::optional<ObjectReader> object(std::string_view name);
    // Reads element `index` of the array that is member `name`.
    ObjectReader element(std::string_view name, size_t index, Poco::JSON::Object::Ptr object);
    // Whatever it is, for as long as the document lives; nullptr if there is none.
    const Poco::Dynamic::Var* any(std::string_view name);
    // Names of members not asked for so far, sorted.
    std::vector<std::string> rest() const;

    void fault(std::string_view name, std::string what);  // at member `name` of this object
    std::string pointer_to(std::string_view name) const;
    // `known` completes the sentence: "is not known here; known are: address, port"
    void finish();

    std::vector<Fault>& faults() { return *faults_; }

  private:
    struct Member {
        const std::string* name;
        const Poco::Dynamic::Var* value;
        bool asked = false;
    };
    const Member* find(std::string_view name) const;
    std::set<std::string_view> known() const;

    Poco::JSON::Object::Ptr object_;
    std::vector<Member> members_;  // of object_, by name
    std::string pointer_;
    std::vector<Fault>* faults_;
    std::vector<std::string_view> asked_;  // every name, there or not
};

// The one Error for collected faults: names the first field in its sentence, holds all of them.
Error faults_error(std::vector<Fault> faults);

}  // namespace gorb::base
