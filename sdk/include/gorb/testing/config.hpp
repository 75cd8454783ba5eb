// Settings for tests: values as written in a config file, read through a plugin's own option table with its
// fallbacks.
//
// Part of gorb/testing.hpp. Errors: std::invalid_argument for what gorbd would refuse: an unknown name, a
// wrong type, a value out of range, a required one that is missing, a table that is wrong itself.
#ifndef GORB_TESTING_CONFIG_HPP
#define GORB_TESTING_CONFIG_HPP
#include <gorb/abi.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
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
            check_range(*option);
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

    // "250ms", "5s", "1m30s" (units us, ms, s, m, h and their longer names); a bare number means seconds.
    // Nanoseconds.
    static uint64_t duration(const std::string& text) {
        const std::optional<double> ns = parts_of_duration(text);
        const double most = 4611686018427387904.0;  // 2^62
        if (!ns || !(*ns <= most)) throw std::invalid_argument("\"" + text + "\" is no duration");
        return static_cast<uint64_t>(std::llround(*ns));
    }

    // Is `text` within an option's range, "1..65535" or "GET|HEAD"?
    static bool in_range(const gorb_option& option, const std::string& text) {
        if (!option.range) return true;
        const std::string range = option.range;
        if (const auto span = span_of(option)) {
            if (!span->first.empty() && number(option, text) < number(option, span->first)) return false;
            return span->second.empty() || number(option, text) <= number(option, span->second);
        }
        for (const std::string& choice : choices_of(range)) {
            if (numeric(option) ? number(option, text) == number(option, choice) : text == choice)
                return true;
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

    static std::string trimmed(const std::string& text) {
        const char* const space = " \t\r\n";
        const size_t first = text.find_first_not_of(space);
        return first == std::string::npos ? "" : text.substr(first, text.find_last_not_of(space) - first + 1);
    }
    static int64_t whole(const std::string& given) {
        const std::string text = trimmed(given);
        int64_t number = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
        if (error != std::errc() || end != text.data() + text.size())
            throw std::invalid_argument("\"" + given + "\" is no whole number");
        return number;
    }
    static bool numeric(const gorb_option& option) {
        return option.type == GORB_INT || option.type == GORB_DURATION;
    }
    static int64_t number(const gorb_option& option, const std::string& text) {
        return option.type == GORB_DURATION ? static_cast<int64_t>(duration(text)) : whole(text);
    }
    // Of the numbers of "low..high", either of which may be missing.
    static std::optional<std::pair<std::string, std::string>> span_of(const gorb_option& option) {
        const std::string range = option.range;
        const size_t dots = numeric(option) ? range.find("..") : std::string::npos;
        if (dots == std::string::npos) return std::nullopt;
        return std::pair(trimmed(range.substr(0, dots)), trimmed(range.substr(dots + 2)));
    }
    static std::vector<std::string> choices_of(const std::string& range) {
        std::vector<std::string> out;
        for (size_t at = 0; at <= range.size();) {
            const size_t bar = std::min(range.find('|', at), range.size());
            out.push_back(range.substr(at, bar - at));
            at = bar + 1;
        }
        return out;
    }
    static bool is_utf8(std::string_view text) {
        for (size_t at = 0; at < text.size();) {
            const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
            const unsigned char lead = byte(at);
            const size_t size = lead < 0x80                   ? 1
                                : lead >= 0xC2 && lead < 0xE0 ? 2
                                : (lead & 0xF0) == 0xE0       ? 3
                                : lead >= 0xF0 && lead < 0xF5 ? 4
                                                              : 0;
            if (size == 0 || size > text.size() - at) return false;
            for (size_t i = 1; i < size; ++i)
                if ((byte(at + i) & 0xC0) != 0x80) return false;
            // Written longer than needed, half of a pair of UTF-16, or beyond the last character.
            const unsigned char second = size > 1 ? byte(at + 1) : 0;
            if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
                (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F))
                return false;
            at += size;
        }
        return true;
    }
    static void check_range(const gorb_option& option) {
        if (!is_utf8(option.fallback ? option.fallback : "") || !is_utf8(option.range ? option.range : ""))
            throw std::invalid_argument(std::string("option \"") + option.name +
                                        "\": its default and its range must be UTF-8");
        if (!option.range) return;
        try {
            if (const auto span = span_of(option)) {
                const int64_t low = span->first.empty() ? INT64_MIN : number(option, span->first);
                const int64_t high = span->second.empty() ? INT64_MAX : number(option, span->second);
                if (low > high) throw std::invalid_argument("backwards");
            } else {
                for (const std::string& choice : choices_of(option.range)) {
                    if (choice.empty()) throw std::invalid_argument("nothing is no choice");
                    if (numeric(option)) number(option, choice);
                }
            }
        } catch (const std::invalid_argument&) {
            throw std::invalid_argument(std::string("option \"") + option.name + "\": the range \"" +
                                        option.range + "\" can not be read");
        }
    }

    // nullopt: it is none.
    static std::optional<double> parts_of_duration(const std::string& text) {
        static const std::map<std::string, double> units = {
            {"us", 1e3},      {"ms", 1e6},       {"s", 1e9},    {"sec", 1e9},     {"secs", 1e9},
            {"second", 1e9},  {"seconds", 1e9},  {"m", 6e10},   {"min", 6e10},    {"mins", 6e10},
            {"minute", 6e10}, {"minutes", 6e10}, {"h", 3.6e12}, {"hour", 3.6e12}, {"hours", 3.6e12}};
        const auto blanks = [&](size_t& at) { at = std::min(text.find_first_not_of(' ', at), text.size()); };
        const auto digits = [&](size_t from) {
            return std::min(text.find_first_not_of("0123456789", from), text.size());
        };
        const std::string bare = trimmed(text);
        if (!bare.empty() && bare.find_first_not_of("0123456789.eE+-") == std::string::npos &&
            std::strchr(".0123456789", bare[0])) {
            char* end = nullptr;
            const double seconds = std::strtod(bare.c_str(), &end);
            return *end ? std::nullopt : std::optional<double>(seconds * 1e9);
        }
        double sum = 0;
        size_t at = 0;
        do {
            blanks(at);
            const size_t begin = at, point = digits(at);
            at = point;
            if (at < text.size() && text[at] == '.') at = digits(at + 1);
            if (point == begin || at == point + 1) return std::nullopt;
            const double count = std::strtod(text.substr(begin, at - begin).c_str(), nullptr);
            blanks(at);
            std::string unit;
            for (; at < text.size() && std::isalpha(static_cast<unsigned char>(text[at])); ++at)
                unit += static_cast<char>(std::tolower(static_cast<unsigned char>(text[at])));
            const auto found = units.find(unit);
            if (found == units.end()) return std::nullopt;
            sum += count * found->second;
            blanks(at);
        } while (at < text.size());
        return sum;
    }

    // Whether a text is JSON, by RFC 8259, and no object of it has two members of one name (as it is
    // written).
    class Json {
      public:
        static bool is(const std::string& text) {
            Json json(text);
            if (!json.value(0)) return false;
            json.blanks();
            return json.at_ == text.size();
        }

      private:
        explicit Json(const std::string& text) : text_(text) {}
        void blanks() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }
        bool take(std::string_view what) {
            if (text_.compare(at_, what.size(), what) != 0) return false;
            at_ += what.size();
            return true;
        }
        bool value(int depth) {
            blanks();
            const bool nested = text_.find_first_of("{[", at_) == at_;
            if (nested && depth == 32) return false;
            if (take("{")) {
                std::set<std::string> names;
                return members('}', [&] {
                    blanks();
                    const size_t begin = at_;
                    if (!string() || !names.insert(text_.substr(begin, at_ - begin)).second) return false;
                    return blanks(), take(":") && value(depth + 1);
                });
            }
            if (take("[")) return members(']', [&] { return value(depth + 1); });
            return string() || take("true") || take("false") || take("null") || number();
        }
        template <class One>
        bool members(char end, const One& one) {
            const std::string close(1, end);
            if (blanks(), take(close)) return true;
            do {
                if (!one()) return false;
                blanks();
            } while (take(","));
            return take(close);
        }
        bool string() {
            if (!take("\"")) return false;
            for (; at_ < text_.size(); ++at_) {
                const char c = text_[at_];
                if (c == '"') return ++at_, true;
                if (static_cast<unsigned char>(c) < 0x20) return false;
                if (c != '\\') continue;
                if (++at_ == text_.size()) return false;
                if (text_[at_] != 'u') {
                    if (!std::strchr("\"\\/bfnrt", text_[at_])) return false;
                    continue;
                }
                for (int i = 0; i < 4; ++i)
                    if (++at_ >= text_.size() || !std::isxdigit(static_cast<unsigned char>(text_[at_])))
                        return false;
            }
            return false;
        }
        bool digits() {
            const size_t begin = at_;
            at_ = std::min(text_.find_first_not_of("0123456789", at_), text_.size());
            return at_ > begin;
        }
        bool number() {
            take("-");
            if (!take("0") && !digits()) return false;
            if (take(".") && !digits()) return false;
            if (take("e") || take("E")) return (take("+") || take("-"), digits());
            return true;
        }
        const std::string& text_;
        size_t at_ = 0;
    };

    static Value parse(const gorb_option& option, const std::string& text) {
        const std::string where = std::string("option \"") + option.name + "\": ";
        Value value{option.type, true, 0, text};
        try {
            if (!is_utf8(text)) throw std::invalid_argument("it is no UTF-8");
            switch (option.type) {
                case GORB_BOOL:
                    if (text != "true" && text != "false")
                        throw std::invalid_argument("\"" + text + "\" is neither true nor false");
                    value.number = text == "true";
                    break;
                case GORB_INT:
                case GORB_DURATION:
                    value.number = number(option, text);
                    break;
                case GORB_TEXT:
                    break;
                case GORB_JSON:
                    if (!Json::is(text)) throw std::invalid_argument("\"" + text + "\" is no JSON");
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
        if (found == values.end() || found->second.type != type) return -EINVAL;
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
