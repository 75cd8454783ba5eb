#include "tables.h"

#include <algorithm>
#include <gorb/sdk/accepts.hpp>
#include <gorb/testing/config.hpp>
#include <iterator>
#include <set>
#include <string_view>
#include <utility>

namespace gorb::check {
namespace {

bool is_name(const char* text, size_t most, std::string_view extra) {
    const std::string_view name = text ? text : "";
    if (name.empty() || name.size() > most) return false;
    for (const char c : name) {
        const bool good =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || extra.find(c) != std::string_view::npos;
        if (!good) return false;
    }
    return true;
}

bool one_line(const char* text) {
    return text && *text && std::string_view(text).find('\n') == std::string_view::npos;
}

std::string quoted(const char* text) {
    return text ? "\"" + std::string(text) + "\"" : "NULL";
}

namespace accepts = sdk::accepts;

constexpr size_t most_options = 256;  // a longer list is one without its end

void read_options(const gorb_option* table, Findings& findings) {
    std::set<std::string> seen;
    for (size_t i = 0; table && table[i].name; ++i) {
        if (i == most_options) return findings.fault("the table has no end (an option whose name is NULL)");
        const gorb_option& option = table[i];
        const std::string who = "option " + quoted(option.name) + " ";
        if (!is_name(option.name, 64, "_-")) findings.fault(who + "has a name that is not [a-z0-9_-]{1,64}");
        if (!seen.insert(option.name).second) findings.fault(who + "is there twice");
        if (option.type < GORB_BOOL || option.type > GORB_JSON)
            findings.fault(who + "has the unknown type " + std::to_string(option.type));
        if (option.flags & ~(GORB_REQUIRED | GORB_SECRET)) findings.fault(who + "has unknown flags");
        if (!one_line(option.help)) findings.fault(who + "has no help of one line");
        if ((option.flags & GORB_REQUIRED) && option.fallback)
            findings.fault(who + "is required and has a default too, so that nobody has to give it");
        gorb_option alone[] = {option, {}};
        alone[0].flags = 0;
        try {
            const testing::FakeConfig config(alone);
        } catch (const std::invalid_argument& e) {
            findings.fault((option.fallback ? "its own default is refused: " : "") + std::string(e.what()));
        }
    }
}

// What every pulse has, so that an argument of that name is not found beside "type".
void note_names_of_all(const gorb_option* table, Findings& findings) {
    constexpr std::string_view of_all[] = {"type",          "interval",      "timeout", "rise",   "fall",
                                           "fast-interval", "down-interval", "backoff", "jitter", "window",
                                           "damping",       "initial",       "address", "source", "interface",
                                           "fwmark",        "args"};
    for (; table && table->name; ++table) {
        if (std::find(std::begin(of_all), std::end(of_all), table->name) != std::end(of_all))
            findings.note("option " + quoted(table->name) +
                          " can be given within \"args\" only: every pulse has one of that name");
    }
}

const char* type_name(uint32_t type) {
    switch (type) {
        case GORB_BOOL:
            return "boolean";
        case GORB_INT:
            return "integer";
        case GORB_DURATION:
            return "duration";
        case GORB_TEXT:
            return "text";
        case GORB_JSON:
            return "json";
        default:
            return "unknown";
    }
}

// In a cell of a Markdown table: "|" must not end the cell.
std::string cell(const char* text) {
    std::string out;
    for (const char* c = text ? text : ""; *c; ++c) {
        if (*c == '|') out += '\\';
        out += *c;
    }
    return out;
}

std::string code_cell(const char* text) {
    return text && *text ? "`" + cell(text) + "`" : "";
}

std::string table_markdown(const gorb_option* table) {
    if (!table || !table->name) return "none\n";
    std::string out = "| option | type | default | range | meaning |\n|---|---|---|---|---|\n";
    for (const gorb_option* option = table; option->name; ++option) {
        std::string fallback = code_cell(option->fallback);
        if (option->flags & GORB_REQUIRED) fallback = "required";
        out += "| `" + std::string(option->name) + "` | " + type_name(option->type) + " | " + fallback +
               " | " + code_cell(option->range) + " | " + cell(option->help) +
               ((option->flags & GORB_SECRET) ? " (secret)" : "") + " |\n";
    }
    return out;
}

}  // namespace

bool check_entry(const gorb_entry& entry, Findings& findings) {
    bool usable = true;
    findings.check("the entry is of this ABI and complete", [&] {
        auto fatal = [&](const std::string& words) {
            usable = false;
            findings.fault(words);
        };
        if (entry.struct_size < accepts::entry)
            return fatal("struct_size is " + std::to_string(entry.struct_size) + ", ABI 1.0 needs " +
                         std::to_string(accepts::entry));
        if (entry.abi_major != GORB_ABI_MAJOR)
            return fatal("it is made for ABI " + std::to_string(entry.abi_major) + ", this is " +
                         std::to_string(GORB_ABI_MAJOR));
        if (entry.abi_minor > GORB_ABI_MINOR)
            fatal("it needs minor version " + std::to_string(entry.abi_minor) + ", this is " +
                  std::to_string(GORB_ABI_MINOR));
        if (!one_line(entry.build)) findings.fault("build is not one line of text");
        if (!entry.plugins) return fatal("plugins is NULL");
        size_t count = 0;
        while (entry.plugins[count] && count <= accepts::most_plugins) ++count;
        if (count > accepts::most_plugins)
            fatal("the list of plugins has no end (NULL) within " + std::to_string(accepts::most_plugins) +
                  " entries: gorbd takes no more of one library");
        if (count == 0) findings.fault("there is no plugin in it");
        std::set<std::pair<std::string, std::string>> names;
        for (size_t i = 0; usable && i < count; ++i) {
            const gorb_plugin& plugin = *entry.plugins[i];
            if (plugin.struct_size < accepts::plugin || !plugin.kind || !plugin.name) continue;
            if (!names.emplace(plugin.kind, plugin.name).second)
                findings.fault("two plugins are called " + quoted(plugin.name));
        }
    });
    return usable;
}

bool check_plugin(const gorb_plugin& plugin, Findings& findings) {
    bool usable = true;
    auto fatal = [&](const std::string& words) {
        usable = false;
        findings.fault(words);
    };
    findings.check("the plugin's table is complete", [&] {
        if (plugin.struct_size < accepts::plugin)
            return fatal("struct_size is " + std::to_string(plugin.struct_size));
        if (!is_name(plugin.name, 32, "-"))
            findings.fault("the name " + quoted(plugin.name) + " is not [a-z0-9-]{1,32}");
        if (!plugin.kind) fatal("kind is NULL");
        if (!one_line(plugin.version)) findings.fault("version is not one line of text");
        if (!one_line(plugin.summary)) findings.fault("summary is not one line of text");
        if (!plugin.ops) fatal("ops is NULL");
    });
    if (!usable) return false;
    findings.check("the instance's options are well declared",
                   [&] { read_options(plugin.options, findings); });
    if (std::string_view(plugin.kind) != GORB_KIND_PULSE) return true;

    const auto& ops = *static_cast<const gorb_pulse_ops*>(plugin.ops);
    findings.check("the pulse's table has every function", [&] {
        if (ops.struct_size < accepts::pulse_ops)
            return fatal("struct_size is " + std::to_string(ops.struct_size));
        if (!ops.create) fatal("create is NULL");
        if (!ops.destroy) fatal("destroy is NULL");
        if (!ops.add) fatal("add is NULL");
        if (!ops.remove) fatal("remove is NULL");
        if (!ops.start) fatal("start is NULL");
        if (!ops.cancel) fatal("cancel is NULL");
    });
    if (!usable) return false;
    findings.check("the target's arguments are well declared", [&] {
        read_options(ops.args, findings);
        note_names_of_all(ops.args, findings);
    });
    return true;
}

std::string options_markdown(const gorb_entry& entry) {
    std::string out;
    for (const gorb_plugin* const* at = entry.plugins; *at; ++at) {
        const gorb_plugin& plugin = **at;
        const bool pulse = std::string_view(plugin.kind) == GORB_KIND_PULSE;
        if (!out.empty()) out += "\n";
        out += "### " + std::string(plugin.name) + " (" + plugin.kind + ")\n\n";
        if (pulse) {
            out += "Arguments of a target:\n\n" +
                   table_markdown(static_cast<const gorb_pulse_ops*>(plugin.ops)->args);
            out += "\n";
        }
        out += "Options of the plugin:\n\n" + table_markdown(plugin.options);
    }
    return out;
}

}  // namespace gorb::check
