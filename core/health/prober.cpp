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

Prober::Prober(io::Loop& loop, MakeChecker make, OnResult on_result, OnRecheck on_recheck)
    : loop_(loop),
      make_(std::move(make)),
      on_result_(std::move(on_result)),
      on_recheck_(std::move(on_recheck)) {}

Prober::~Prober() {
    close();
}

void Prober::close() {
    closed_ = true;
    for (Slot slot = 0; slot < entries_.size(); ++slot) remove(slot);
    kinds_.clear();
}

std::optional<plugin::Report> Prober::start(Slot slot, const Subject& subject, uint64_t deadline) {
    auto entry = entry_of(slot, subject);
    if (!entry) return could_not_check(entry.error());
    (*entry)->checker->start((*entry)->probe, deadline);
    return std::nullopt;
}

bool Prober::start_again(Slot slot, uint64_t deadline) {
    if (slot >= entries_.size() || !entries_[slot].checker) return false;
    entries_[slot].checker->start(entries_[slot].probe, deadline);
    return true;
}

bool Prober::cancel(Slot slot) {
    if (slot >= entries_.size() || !entries_[slot].checker) return false;
    return entries_[slot].checker->cancel(entries_[slot].probe);
}

Checker::Expired Prober::expire(Slot slot) {
    if (slot >= entries_.size() || !entries_[slot].checker) return {};
    return entries_[slot].checker->expire(entries_[slot].probe);
}

void Prober::remove(Slot slot) {
    if (slot >= entries_.size() || !entries_[slot].checker) return;
    cancel(slot);
    const Entry entry = std::exchange(entries_[slot], Entry{});
    entry.checker->remove(entry.probe);
}

base::Status Prober::push(Slot slot, const Subject& subject, const plugin::PushReport& push) {
    auto entry = entry_of(slot, subject);
    if (!entry) return base::fail(std::move(entry.error()));
    return (*entry)->checker->push((*entry)->probe, push);
}

base::Result<Prober::Entry*> Prober::entry_of(Slot slot, const Subject& subject) {
    entries_.reach(slot);
    Entry& entry = entries_[slot];
    if (entry.checker) return &entry;
    const model::PulseSpec& pulse = subject.spec.pulse;
    auto checker = checker_of(pulse.type);
    if (!checker) return base::fail(std::move(checker.error()));
    auto [service, backend] = subject.names();
    auto probe = (*checker)->add({.service = std::move(service),
                                  .backend = std::move(backend),
                                  .address = subject.address,
                                  .fwmark = pulse.fwmark,
                                  .args = subject.spec.args,
                                  .source = pulse.source,
                                  .interface = pulse.interface},
                                 slot);
    if (!probe) return base::fail(std::move(probe.error()));
    entry = {*checker, *probe};
    return &entry;
}

base::Result<Checker*> Prober::checker_of(const std::string& type) {
    if (closed_) return base::fail(base::Errc::unavailable, "nothing is checked any more: gorbd ends");
    std::unique_ptr<Kind>& kind = kinds_[type];
    if (!kind) kind = std::make_unique<Kind>();
    if (!kind->checker) {
        if (loop_.now() < kind->retry_at) return base::fail(kind->error);
        auto made = make_(type, loop_, on_result_, on_recheck_);
        if (!made) {
            kind->error = made.error();
            kind->retry_at = loop_.now() + retry;
            return base::fail(std::move(made.error()));
        }
        kind->checker = std::move(*made);
    }
    return kind->checker.get();
}

}  // namespace gorb::health
