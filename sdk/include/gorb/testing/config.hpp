// Settings for tests: values as written in a config file, read through a plugin's own option table with its
// fallbacks.
//
// Part of gorb/testing.hpp. Errors: std::invalid_argument for what gorbd would refuse: an unknown name, a
// wrong type, a value out of range, a required one that is missing, a table that is wrong itself.
#ifndef GORB_TESTING_CONFIG_HPP
#define GORB_TESTING_CONFIG_HPP
#include <gorb/abi.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace gorb::testing {

using Values = std::map<std::string, std::string>;  // {{"port", "8080"}, {"path", "/health"}}

class FakeConfig {
  public:
    // `table` may be nullptr: a plugin without options.
    explicit FakeConfig(const gorb_option* table, const Values& given = {}) {
        static_cast<gorb_config&>(c_) = {sizeof(gorb_config), &get_bool, &get_int,
                                         &get_duration,       &get_text, &get_json};
        c_.self = this;
        Values rest = given;
        for (const gorb_option* option = table; option && option->name; ++option) {
            auto found = rest.find(option->name);
            if (found != rest.end()) {
                values_[option->name] = parse(*option, found->second);
                rest.erase(found);
            } else if (option->fallback) {
                values_[option->name] = parse(*option, option->fallback);
            } else if (option->flags & GORB_REQUIRED) {
                throw std::invalid_argument(std::string("option \"") + option->name + "\" is required");
            } else {
                values_[option->name] = Value{option->type, false, 0, {}};
            }
        }
        if (!rest.empty()) throw std::invalid_argument("no option is called \"" + rest.begin()->first + "\"");
    }
    FakeConfig(const FakeConfig&) = delete;
    FakeConfig& operator=(const FakeConfig&) = delete;

    const gorb_config* c() const { return &c_; }

    // "250ms", "5s", "1m", "2h"; a bare number means seconds. Nanoseconds.
    static uint64_t duration(const std::string& text) {
        const char* begin = text.c_str();
        char* end = nullptr;
        double number = std::strtod(begin, &end);
        if (end == begin || !(number >= 0)) throw std::invalid_argument("\"" + text + "\" is no duration");
        static const std::map<std::string, double> units = {
            {"", 1e9}, {"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}, {"m", 6e10}, {"h", 3.6e12}};
        auto unit = units.find(end);
        if (unit == units.end() || number * unit->second > 9e18)
            throw std::invalid_argument("\"" + text + "\" is no duration");
        return static_cast<uint64_t>(number * unit->second);
    }

    // Is `text` within an option's range, "1..65535" or "GET|HEAD"?
    static bool in_range(const gorb_option& option, const std::string& text) {
        if (!option.range) return true;
        const std::string range = option.range;
        const auto dots = range.find("..");
        if (dots != std::string::npos && option.type != GORB_TEXT && option.type != GORB_JSON) {
            auto number = [&](const std::string& s) {
                return option.type == GORB_DURATION ? static_cast<double>(duration(s)) : whole(s);
            };
            const std::string low = range.substr(0, dots), high = range.substr(dots + 2);
            if (!low.empty() && number(text) < number(low)) return false;
            return high.empty() || number(text) <= number(high);
        }
        for (size_t at = 0; at <= range.size();) {
            size_t bar = std::min(range.find('|', at), range.size());
            if (text == range.substr(at, bar - at)) return true;
            at = bar + 1;
        }
        return false;
    }

  private:
    struct Value {
        uint32_t type = 0;
        bool set = false;
        int64_t number = 0;  // boolean, integer, duration
        std::string text;
    };
    struct C : gorb_config {
        FakeConfig* self = nullptr;
    };

    static double whole(const std::string& text) {
        char* end = nullptr;
        errno = 0;
        const long long number = std::strtoll(text.c_str(), &end, 10);
        if (text.empty() || *end || errno) throw std::invalid_argument("\"" + text + "\" is no whole number");
        return static_cast<double>(number);
    }
    static Value parse(const gorb_option& option, const std::string& text) {
        const std::string where = std::string("option \"") + option.name + "\": ";
        Value value{option.type, true, 0, text};
        try {
            switch (option.type) {
                case GORB_BOOL:
                    if (text != "true" && text != "false")
                        throw std::invalid_argument("\"" + text + "\" is neither true nor false");
                    value.number = text == "true";
                    break;
                case GORB_INT:
                    whole(text);
                    value.number = std::strtoll(text.c_str(), nullptr, 10);
                    break;
                case GORB_DURATION:
                    value.number = static_cast<int64_t>(duration(text));
                    break;
                case GORB_TEXT:
                case GORB_JSON:
                    break;
                default:
                    throw std::invalid_argument("unknown type " + std::to_string(option.type));
            }
            if (!in_range(option, text))
                throw std::invalid_argument("\"" + text + "\" is outside \"" + option.range + "\"");
        } catch (const std::invalid_argument& e) {
            throw std::invalid_argument(where + e.what());
        }
        return value;
    }

    static int32_t find(const gorb_config* c, const char* name, uint32_t type, const Value** out) {
        const auto& values = static_cast<const C*>(c)->self->values_;
        const auto found = name ? values.find(name) : values.end();
        if (found == values.end()) return -ENOENT;
        if (found->second.type != type) return -EINVAL;
        if (!found->second.set) return -ENOENT;
        *out = &found->second;
        return 0;
    }
    static int32_t get_bool(const gorb_config* c, const char* name, bool* out) {
        const Value* value = nullptr;
        const int32_t rc = find(c, name, GORB_BOOL, &value);
        if (rc == 0) *out = value->number != 0;
        return rc;
    }
    static int32_t get_int(const gorb_config* c, const char* name, int64_t* out) {
        const Value* value = nullptr;
        const int32_t rc = find(c, name, GORB_INT, &value);
        if (rc == 0) *out = value->number;
        return rc;
    }
    static int32_t get_duration(const gorb_config* c, const char* name, uint64_t* out) {
        const Value* value = nullptr;
        const int32_t rc = find(c, name, GORB_DURATION, &value);
        if (rc == 0) *out = static_cast<uint64_t>(value->number);
        return rc;
    }
    static int32_t words(const gorb_config* c, const char* name, uint32_t type, gorb_str* out) {
        const Value* value = nullptr;
        const int32_t rc = find(c, name, type, &value);
        if (rc == 0) *out = {value->text.data(), value->text.size()};
        return rc;
    }
    static int32_t get_text(const gorb_config* c, const char* name, gorb_str* out) {
        return words(c, name, GORB_TEXT, out);
    }
    static int32_t get_json(const gorb_config* c, const char* name, gorb_str* out) {
        return words(c, name, GORB_JSON, out);
    }

    C c_{};
    std::map<std::string, Value> values_;
};

}  // namespace gorb::testing
#endif  // GORB_TESTING_CONFIG_HPP
