#include "health/lane.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/log.h"

namespace gorb::health {

namespace {

std::string in_words(const plugin::Report& report) {
    switch (report.verdict) {
        case plugin::Verdict::pass:
            return "the check passed";
        case plugin::Verdict::fail:
            return "the check failed";
        case plugin::Verdict::unknown:
            break;
    }
    return "the check could not be made";
}

void log_effect(const Target& t, const Board::Effect& effect, const plugin::Report& report) {
    if (effect.state_changed()) {
        const bool up = effect.after == State::up;
        const base::LogField fields[] = {{"service", t.service},
                                         {"backend", t.backend},
                                         {"address", t.address.text()},
                                         {"pulse", t.pulses[0].type},
                                         {"from", std::string(state_text(effect.before))},
                                         {"to", std::string(state_text(effect.after))},
                                         {"reason", effect.because}};
        base::log(up ? base::LogLevel::info : base::LogLevel::warning,
                  up ? "backend is up" : "backend is down", fields);
    }
    if (effect.share_changed()) {
        base::log_info("backend asks for another share of its weight",
                       {{"service", t.service},
                        {"backend", t.backend},
                        {"address", t.address.text()},
                        {"from", std::to_string(effect.share_before) + "%"},
                        {"to", std::to_string(effect.share) + "%"},
                        {"reason", report.detail}});
    }
    if (effect.trouble_began) {
        base::log_warning("backend can not be checked, its state stays as it is",
                          {{"service", t.service},
                           {"backend", t.backend},
                           {"address", t.address.text()},
                           {"pulse", t.pulses[0].type},
                           {"state", std::string(state_text(effect.after))},
                           {"reason", report.detail}});
    }
}

}  // namespace

Lane::Lane(io::Loop& loop, MakeChecker make, Board& board, const Engine::OnChanged& on_changed)
    : loop_(loop),
      board_(board),
      on_changed_(on_changed),
      scheduler_(loop.now()),
      prober_(loop, std::move(make), [this](Scheduler::Slot slot, const plugin::Report& report) {
          finish(slot, report, loop_.now());
          arm();
      }) {}

Lane::~Lane() {
    loop_.cancel(timer_);
}

void Lane::put(Target target) {
    auto shared = std::make_shared<const Target>(std::move(target));
    const uint64_t now = loop_.now();
    const int64_t wall = loop_.clock().wall();
    inbox_.with([&](std::vector<Command>& inbox) {
        const Board::Placed placed = board_.put(shared, now, wall);
        if (placed.put != Board::Put::same) send(inbox, {shared->id, shared, placed.lost_state});
    });
}

void Lane::remove(model::BackendId id) {
    inbox_.with([&](std::vector<Command>& inbox) {
        if (board_.forget(id)) send(inbox, {id, nullptr, false});
    });
}

void Lane::send(std::vector<Command>& inbox, Command command) {
    inbox.push_back(std::move(command));
    if (inbox.size() > 1) return;  // whoever put the first one has called the loop
    // The engine may be gone when a loop that was never run, or was stopped, gets to it.
    loop_.post([weak = weak_from_this()] {
        if (const auto lane = weak.lock()) lane->take_commands();
    });
}

void Lane::take_commands() {
    std::vector<Command> come;
    inbox_.with([&](std::vector<Command>& inbox) { come.swap(inbox); });
    commands_.insert(commands_.end(), std::make_move_iterator(come.begin()),
                     std::make_move_iterator(come.end()));
    for (size_t n = 0; n < commands_per_turn && !commands_.empty(); ++n) {
        apply(commands_.front());
        commands_.pop_front();
    }
    if (!commands_.empty()) {
        loop_.post([weak = weak_from_this()] {
            if (const auto lane = weak.lock()) lane->take_commands();
        });
    }
    arm();
}

void Lane::apply(const Command& command) {
    drop(command.id);
    if (!command.target) return;
    const model::PulseSpec& pulse = command.target->pulses[0];
    const auto ns = [](base::Nanos t) { return static_cast<uint64_t>(std::max<int64_t>(t.count(), 0)); };
    const Scheduler::Slot slot =
        scheduler_.add(command.id, ns(pulse.interval), ns(pulse.timeout), loop_.now());
    if (slot >= targets_.size()) targets_.resize(slot + 1);
    targets_[slot] = command.target;
    slots_[command.id] = slot;
    if (command.lost_state) note({command.id, State::unknown, 100, 1, loop_.now(), ""});
}

void Lane::drop(model::BackendId id) {
    const auto it = slots_.find(id);
    if (it == slots_.end()) return;
    prober_.remove(it->second);
    scheduler_.remove(it->second);
    targets_[it->second] = nullptr;
    slots_.erase(it);
}

void Lane::turn() {
    timer_ = 0;
    armed_ = Scheduler::never;
    const uint64_t now = loop_.now();

    due_.clear();
    scheduler_.advance(now, due_);
    for (const Scheduler::Slot slot : due_) time_out(slot, now);

    due_.clear();
    scheduler_.take(now, due_);
    for (const Scheduler::Slot slot : due_) start(slot);
    arm();
}

void Lane::start(Scheduler::Slot slot) {
    auto ended = prober_.start(slot, *targets_[slot], scheduler_.deadline(slot));
    if (ended) finish(slot, std::move(*ended), scheduler_.started(slot));
}

void Lane::time_out(Scheduler::Slot slot, uint64_t now) {
    prober_.cancel(slot);
    plugin::Report report;
    report.verdict = plugin::Verdict::fail;
    report.code = ETIMEDOUT;
    report.detail = "timed out after " + base::duration_text(targets_[slot]->pulses[0].timeout);
    finish(slot, std::move(report), now);
}

// Books the result of a check and plans the next one.
void Lane::finish(Scheduler::Slot slot, plugin::Report report, uint64_t now) {
    const TargetPtr& target = targets_[slot];
    if (!report.latency_ns) report.latency_ns = now - scheduler_.started(slot);
    if (report.detail.empty()) report.detail = in_words(report);
    const auto effect = board_.record(target, report, now, loop_.clock().wall());
    scheduler_.finish(slot, now);
    if (!effect) return;  // replaced or removed, the command is on its way
    log_effect(*target, *effect, report);
    if (effect->state_changed()) {
        note({target->id, effect->after, effect->share, 1, now, effect->because});
    } else if (effect->share_changed()) {
        note({target->id, effect->after, effect->share, 1, now, report.detail});
    }
}

// Keeps a change for the end of this turn.
void Lane::note(Changed change) {
    changes_.push_back(std::move(change));
    if (changes_.size() > 1) return;
    loop_.post([weak = weak_from_this()] {
        if (const auto lane = weak.lock()) lane->tell();
    });
}

void Lane::tell() {
    std::vector<Changed> changes;
    changes.swap(changes_);
    std::erase_if(changes, [&](const Changed& c) { return !board_.has(c.id); });
    if (!changes.empty()) on_changed_(changes);
}

// Sees to it that the next turn comes when the scheduler wants it.
void Lane::arm() {
    const uint64_t wake = scheduler_.wake();
    if (wake >= armed_) return;
    loop_.cancel(timer_);
    timer_ = loop_.at(wake, [this] { turn(); });
    armed_ = wake;
}

}  // namespace gorb::health
