#include "health/prober.h"

#include <utility>

namespace gorb::health {

namespace {

plugin::Report could_not_check(const base::Error& error) {
    plugin::Report r;
    r.verdict = plugin::Verdict::unknown;
    r.code = error.os_error;
    r.detail = error.sentence;
    return r;
}

}  // namespace

Prober::Prober(io::Loop& loop, MakeChecker make, OnResult on_result)
    : loop_(loop), make_(std::move(make)), on_result_(std::move(on_result)) {}

Prober::~Prober() {
    for (Slot slot = 0; slot < entries_.size(); ++slot) remove(slot);
}

std::optional<plugin::Report> Prober::start(Slot slot, const Target& target, uint64_t deadline) {
    if (slot >= entries_.size()) entries_.resize(slot + 1);
    Entry& entry = entries_[slot];
    if (!entry.kind) {
        auto kind = kind_of(target.pulses[0].type);
        if (!kind) return could_not_check(kind.error());
        auto probe = (*kind)->checker->add({.service = target.service,
                                            .backend = target.backend,
                                            .address = target.address,
                                            .host = {},
                                            .fwmark = 0,
                                            .args = target.args.empty() ? nullptr : target.args[0]});
        if (!probe) return could_not_check(probe.error());
        entry.kind = *kind;
        entry.probe = *probe;
    }
    entry.run = entry.kind->checker->start(entry.probe, deadline);
    entry.running = true;
    entry.kind->runs.emplace(entry.run, slot);
    return std::nullopt;
}

void Prober::cancel(Slot slot) {
    if (slot >= entries_.size() || !entries_[slot].running) return;
    Entry& entry = entries_[slot];
    entry.running = false;
    entry.kind->runs.erase(entry.run);
    entry.kind->checker->cancel(entry.probe, entry.run);
}

void Prober::remove(Slot slot) {
    if (slot >= entries_.size() || !entries_[slot].kind) return;
    cancel(slot);
    const Entry entry = std::exchange(entries_[slot], Entry{});
    entry.kind->checker->remove(entry.probe);
}

base::Result<Prober::Kind*> Prober::kind_of(const std::string& type) {
    std::unique_ptr<Kind>& kind = kinds_[type];
    if (!kind) kind = std::make_unique<Kind>();
    if (!kind->checker) {
        if (loop_.now() < kind->retry_at) return base::fail(kind->error);
        auto made = make_(type, loop_, [this, k = kind.get()](Checker::Run run, const plugin::Report& r) {
            report(*k, run, r);
        });
        if (!made) {
            kind->error = made.error();
            kind->retry_at = loop_.now() + retry;
            return base::fail(std::move(made.error()));
        }
        kind->checker = std::move(*made);
    }
    return kind.get();
}

void Prober::report(Kind& kind, Checker::Run run, const plugin::Report& r) {
    const auto it = kind.runs.find(run);
    if (it == kind.runs.end()) return;
    const Slot slot = it->second;
    kind.runs.erase(it);
    entries_[slot].running = false;
    on_result_(slot, r);
}

}  // namespace gorb::health
