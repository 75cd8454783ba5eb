#include "control/change_log.h"

#include <vector>

#include "control/words.h"

namespace gorb::control {
namespace {

// Of a change of many, the first few of what it removes, adds and changes: "removed web/b1, web/b2 (and 3
// more); added shop". A service stands for all that is in it when it goes.
std::string objects_of(const Resolved& about) {
    constexpr size_t few = 5;
    std::string out;
    const auto tell = [&](const char* what, auto&& is_so) {
        size_t count = 0;
        for (const Step& step : about.steps) {
            if (!is_so(step) || ++count > few) continue;
            if (count > 1) out += ", ";
            if (count == 1) out.append(out.empty() ? "" : "; ").append(what).append(" ");
            out += step.service;
            if (!step.backend.empty()) out.append("/").append(step.backend);
        }
        if (count > few) out += " (and " + std::to_string(count - few) + " more)";
    };
    const auto drops = [](const Step& step) { return !step.service_row && !step.backend_row; };
    const auto is_new = [](const Step& step) {
        return step.service_row ? !step.old_service : step.backend_row && !step.old_backend;
    };
    tell("removed", drops);
    tell("added", is_new);
    tell("changed", [&](const Step& step) { return !drops(step) && !is_new(step); });
    return out;
}

// Of a change of one object, what is otherwise of one that was there before.
std::string changes_of(const Resolved& about) {
    if (about.many) return objects_of(about);
    if (about.steps.empty()) return {};
    const Step& step = about.steps.front();
    if (step.kind == Step::Kind::put_backend && step.old_backend)
        return what_changed(step.old_backend->spec, step.backend_row->spec);
    if (step.kind == Step::Kind::put_service && step.old_service)
        return what_changed(step.old_service->spec, step.service_row->spec);
    return {};
}

}  // namespace

void log_change(base::LogLevel level, std::string_view message, const Resolved& about,
                const std::string& error, uint64_t kernel_ns) {
    if (!base::log_wants(level)) return;
    std::vector<base::LogField> fields;
    if (!about.service.empty()) fields.push_back({"service", about.service});
    if (!about.backend.empty()) fields.push_back({"backend", about.backend});
    if (const std::string what = changes_of(about); !what.empty()) fields.push_back({"changes", what});
    if (about.many) {
        fields.push_back({"added", std::to_string(about.counts.added)});
        fields.push_back({"changed", std::to_string(about.counts.changed)});
        fields.push_back({"removed", std::to_string(about.counts.removed)});
        if (about.counts.refused > 0) fields.push_back({"refused", std::to_string(about.counts.refused)});
        if (kernel_ns > 0) fields.push_back({"kernel_us", std::to_string(kernel_ns / 1000)});
    }
    if (!error.empty()) fields.push_back({"error", error});
    base::log(level, message, fields);
}

}  // namespace gorb::control
