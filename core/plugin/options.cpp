#include "plugin/options.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

#include "base/json.h"
#include "plugin/text.h"
#include "plugin/values.h"

namespace gorb::plugin {
namespace {

constexpr size_t most_options = 256;

bool good_option_name(const std::string& name) {
    return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
               c == '_' || c == '.';
    });
}

std::optional<std::string> optional_text(const char* text) {
    if (!text) return std::nullopt;
    return text;
}

}  // namespace

std::string OptionSpec::type_text() const {
    switch (type) {
        case GORB_BOOL:
            return "boolean";
        case GORB_INT:
            return "integer";
        case GORB_DURATION:
            return "duration";
        case GORB_TEXT:
            return "text";
        default:
            return "json";
    }
}

base::Result<std::vector<OptionSpec>> read_options(const gorb_option* table) {
    std::vector<OptionSpec> specs;
    if (!table) return specs;
    std::set<std::string> names;
    for (size_t i = 0; table[i].name; ++i) {
        const gorb_option& option = table[i];
        const auto wrong = [&](const std::string& why) {
            return base::fail(base::Errc::invalid, "option " + std::to_string(i + 1) + ", \"" +
                                                       text_of(option.name, 64) +
                                                       "\": " + clean_text(why, 1024));
        };
        if (i == most_options) {
            return base::fail(base::Errc::invalid, "the option table has no end within " +
                                                       std::to_string(most_options) + " entries");
        }
        OptionSpec spec;
        spec.name = text_of(option.name);
        spec.type = option.type;
        spec.flags = option.flags;
        // Values, so as they are; all else is for reading.
        spec.fallback = optional_text(option.fallback);
        // With a fallback nobody has to give it, whatever the table says.
        if (spec.fallback) spec.flags &= ~uint32_t{GORB_REQUIRED};
        spec.range = optional_text(option.range);
        spec.help = text_of(option.help);
        if (!good_option_name(spec.name))
            return wrong("the name must be 1 to 64 characters of [A-Za-z0-9._-]");
        if (!names.insert(spec.name).second) return wrong("there are two options of this name");
        if (spec.type < GORB_BOOL || spec.type > GORB_JSON) {
            return wrong("type " + std::to_string(spec.type) + " is unknown");
        }
        if (!is_utf8(spec.fallback.value_or("")) || !is_utf8(spec.range.value_or("")))
            return wrong("its fallback and its range must be UTF-8");
        if (auto range = check_range(spec); !range) return wrong(range.error().sentence);
        if (spec.fallback) {
            if (auto value = read_words(spec, *spec.fallback); !value) {
                return wrong("the fallback \"" + *spec.fallback + "\" " + value.error().sentence);
            }
        }
        specs.push_back(std::move(spec));
    }
    return specs;
}

struct Config::Impl : gorb_config {
    struct Entry {
        std::string name;
        uint32_t type = 0;
        std::optional<Value> value;
    };

    const Entry* find(const char* name) const {
        if (!name) return nullptr;
        const std::string_view wanted = name;  // its length tells most names apart
        const auto it =
            std::find_if(entries.begin(), entries.end(), [&](const Entry& e) { return e.name == wanted; });
        return it == entries.end() ? nullptr : &*it;
    }

    // The value when it is set and of that type, else the errno to answer with.
    static int32_t get(const gorb_config* config, const char* name, uint32_t type, const void* out,
                       const Value** value) {
        if (!config || !out) return -EINVAL;
        const Entry* entry = static_cast<const Impl*>(config)->find(name);
        if (!entry || entry->type != type) return -EINVAL;
        if (!entry->value) return -ENOENT;
        *value = &*entry->value;
        return 0;
    }
    static int32_t boolean_of(const gorb_config* config, const char* name, bool* out) {
        const Value* value = nullptr;
        const int32_t rc = get(config, name, GORB_BOOL, out, &value);
        if (rc == 0) *out = value->number != 0;
        return rc;
    }
    static int32_t integer_of(const gorb_config* config, const char* name, int64_t* out) {
        const Value* value = nullptr;
        const int32_t rc = get(config, name, GORB_INT, out, &value);
        if (rc == 0) *out = value->number;
        return rc;
    }
    static int32_t duration_of(const gorb_config* config, const char* name, uint64_t* out) {
        const Value* value = nullptr;
        const int32_t rc = get(config, name, GORB_DURATION, out, &value);
        if (rc == 0) *out = static_cast<uint64_t>(value->number);
        return rc;
    }
    static int32_t text_value(const gorb_config* config, const char* name, gorb_str* out) {
        const Value* value = nullptr;
        const int32_t rc = get(config, name, GORB_TEXT, out, &value);
        if (rc == 0) *out = {value->text.data(), value->text.size()};
        return rc;
    }
    static int32_t json_value(const gorb_config* config, const char* name, gorb_str* out) {
        const Value* value = nullptr;
        const int32_t rc = get(config, name, GORB_JSON, out, &value);
        if (rc == 0) *out = {value->text.data(), value->text.size()};
        return rc;
    }

    Impl()
        : gorb_config{sizeof(gorb_config), &boolean_of, &integer_of, &duration_of, &text_value, &json_value} {
    }

    std::vector<Entry> entries;
};

Config::Config(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Config::~Config() = default;

const gorb_config* Config::c() const {
    return impl_.get();
}

base::Result<std::shared_ptr<const Config>> Config::make(const std::vector<OptionSpec>& specs,
                                                         const std::map<std::string, std::string>& given) {
    std::vector<base::Fault> faults;
    auto impl = std::make_unique<Impl>();
    const auto fault = [&](const std::string& name, std::string what) {
        faults.push_back({"/" + base::pointer_token(name), std::move(what)});
    };
    for (const OptionSpec& spec : specs) {
        Impl::Entry entry{spec.name, spec.type, std::nullopt};
        if (const auto it = given.find(spec.name); it != given.end()) {
            const auto json = base::parse_json(it->second);
            auto value = json ? read_json(spec, *json, it->second) : base::fail(json.error());
            if (value) {
                entry.value = std::move(*value);
            } else {
                fault(spec.name, value.error().sentence);
            }
        } else if (spec.fallback) {
            // read_options() has tried it; a spec made otherwise may still be wrong.
            auto value = read_words(spec, *spec.fallback);
            if (value) {
                entry.value = std::move(*value);
            } else {
                fault(spec.name, "its default " + value.error().sentence);
            }
        } else if (spec.flags & GORB_REQUIRED) {
            fault(spec.name, "is required");
        }
        impl->entries.push_back(std::move(entry));
    }
    std::string known;  // made for the first that is not
    size_t unknown = 0;
    constexpr size_t most = 20;  // as base::ObjectReader has it: a megabyte of them would be an answer of 25
    for (const auto& [name, text] : given) {
        if (impl->find(name.c_str()) || ++unknown > most) continue;
        if (unknown == 1) {
            for (const OptionSpec& spec : specs) known += (known.empty() ? "" : ", ") + spec.name;
        }
        fault(name, "is not known here; known are: " + (known.empty() ? "none" : known));
    }
    if (!faults.empty()) return base::fail(base::faults_error(std::move(faults)));
    return std::shared_ptr<const Config>(new Config(std::move(impl)));
}

}  // namespace gorb::plugin
