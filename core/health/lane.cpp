#include "health/lane.h"

#include <algorithm>
#include <cerrno>

#include "base/duration.h"
#include "base/give_back.h"
#include "base/log.h"
#include "health/hash.h"

namespace gorb::health {

namespace {

const char* in_words(plugin::Verdict verdict) {
    switch (verdict) {
        case plugin::Verdict::pass:
            return "the check passed";
        case plugin::Verdict::fail:
            return "the check failed";
        case plugin::Verdict::unknown:
            break;
    }
    return "the check could not be made";
}

void log_share(const Board::Names& names, const Probes::Aim& aim, const Board::Effect& effect,
               const std::string& reason) {
    base::log_info("backend asks for another share of its weight",
                   {{"service", names.service},
                    {"backend", names.backend},
                    {"address", aim.address.text()},
                    {"from", std::to_string(effect.share_before) + "%"},
                    {"to", std::to_string(effect.share) + "%"},
                    {"reason", reason}});
}

void log_trouble(const Board::Names& names, const Probes::Aim& aim, size_t shared,
                 const Probes::Effect& effect, std::string_view reason) {
    const base::LogField fields[] = {
        {"service", names.service},           {"backend", names.backend},
        {"address", aim.address.text()},      {"pulse", aim.spec.pulse.type},
        {"backends", std::to_string(shared)}, {"state", std::string(state_text(effect.after))},
        {"reason", std::string(reason)}};
    base::log(effect.trouble ? base::LogLevel::warning : base::LogLevel::info,
              effect.trouble ? "backend can not be checked, its state stays as it is"
                             : "backend can be checked again",
              fields);
}

}  // namespace

Lane& Crew::home(model::BackendId id) const {
    return *lanes[(spread(id) >> 32) % lanes.size()];
}

Lane::Lane(io::Loop& loop, MakeChecker make, Crew& crew, uint64_t seed, Scheduler::Caps caps)
    : loop_(loop),
      crew_(crew),
      probes_(
          seed, [this] { post(&Lane::take_commands); },
          [this](const base::Endpoint& address, const Spec& spec, Probes::Sign sign) {
              crew_.watch.began(address.ip, sign, longest_gap(spec.pulse), loop_.clock().now());
          }),
      scheduler_(loop.now(), caps),
      prober_(
          loop, std::move(make),
          [this](Slot slot, const plugin::Report& report) {
              answered(slot, report);
              arm();
          },
          [this](Slot slot) { recheck(slot); }),
      seed_(seed) {
    look_at_the_wall();
}

Lane::~Lane() {
    loop_.cancel(timer_);
    loop_.cancel(suspicion_timer_);
}

// The engine may be gone when a loop that was never run, or was stopped, gets to it.
void Lane::post(void (Lane::*what)()) {
    loop_.post([weak = weak_from_this(), what] {
        if (const auto lane = weak.lock()) ((*lane).*what)();
    });
}

void Lane::close_here() {
    loop_.cancel(std::exchange(timer_, 0));
    armed_ = 0;  // no turn is wanted any more
    prober_.close();
}

void Lane::take_commands() {
    come_.clear();
    probes_.take_commands(come_);
    commands_.insert(commands_.end(), come_.begin(), come_.end());
    if (come_.capacity() > commands_per_turn) base::give_back(come_);
    for (size_t n = 0; n < commands_per_turn && !commands_.empty(); ++n) {
        const Probes::Command command = commands_.front();
        commands_.pop_front();
        command.begun ? begin(command.slot) : end(command.slot);
    }
    if (!commands_.empty()) post(&Lane::take_commands);
    arm();
}

void Lane::reach(Slot slot) {
    if (slot < asked_.size()) return;
    asked_.resize(slot + 1);
    was_asked_.resize(slot + 1);
    failure_reported_.resize(slot + 1);
}

void Lane::begin(Slot slot) {
    reach(slot);
    asked_[slot] = was_asked_[slot] = false;
    const Probes::Aim aim = probes_.aim(slot);
    const uint64_t now = loop_.now();
    const uint64_t interval = std::max(base::ns_of(aim.spec.pulse.interval), Scheduler::tick);
    scheduler_.add(slot, static_cast<uint32_t>(hash_of(aim.address.ip)), interval,
                   next_regular(probes_.hash(slot), seed_, interval, aim.spec.pulse.jitter, now), now);
}

void Lane::end(Slot slot) {
    prober_.remove(slot);
    scheduler_.remove(slot);
    const Probes::Aim aim = probes_.aim(slot);
    if (const Probes::Sign sign = probes_.sign(slot); sign != Probes::Sign::none) {
        crew_.watch.turned(aim.address.ip, sign, Probes::Sign::none, longest_gap(aim.spec.pulse),
                           loop_.now());
        watch_suspicion();
    }
    failure_reported_[slot] = false;
    probes_.release(slot);
}

void Lane::turn() {
    timer_ = 0;
    armed_ = Scheduler::never;
    look_at_the_wall();
    const uint64_t now = loop_.now();

    // What has come since the events were fetched may be the answer, and is looked at before the next turn.
    overdue_.clear();
    scheduler_.advance(loop_.fetched_at(), overdue_);
    for (const Slot slot : overdue_) time_out(slot, now);

    starts_.clear();
    scheduler_.take(now, starts_);
    for (const Scheduler::Start& one : starts_) start(one);
    arm();
}

// fn(Prober::Subject) for what is in the slot.
template <class Fn>
auto Lane::with_subject(Slot slot, Fn&& fn) {
    const Probes::Aim aim = probes_.aim(slot);
    const std::function<std::pair<std::string, std::string>()> names = [this, slot] {
        const auto id = probes_.first_subscriber(slot);
        const Board::Names found = id ? crew_.board->names(*id) : Board::Names();
        return std::pair(found.service, found.backend);
    };
    return fn(Prober::Subject{aim.address, aim.spec, names});
}

void Lane::start(const Scheduler::Start& what) {
    const Slot slot = what.slot;
    tally_.begun(what.late);
    was_asked_[slot] = asked_[slot];
    asked_[slot] = false;
    const uint64_t started = scheduler_.started(slot);
    // From now on: those before it in this turn may have taken long, or the process was stopped among them.
    const uint64_t deadline = loop_.now() + base::ns_of(probes_.aim(slot).spec.pulse.timeout);
    scheduler_.limit(slot, deadline);
    if (prober_.start_again(slot, deadline)) return;
    const auto ended = with_subject(
        slot, [&](const Prober::Subject& subject) { return prober_.start(slot, subject, deadline); });
    if (ended) finish(slot, *ended, started);
}

void Lane::time_out(Slot slot, uint64_t now) {
    auto [not_begun, told] = prober_.expire(slot);
    const std::string timeout = base::duration_text(probes_.aim(slot).spec.pulse.timeout);
    plugin::Report report;
    if (not_begun) {
        report.code = EAGAIN;
        report.detail = "not begun within " + timeout + ": all workers were busy";
    } else if (auto stalled = held_up(slot, now)) {
        report = std::move(*stalled);
    } else if (told) {
        report = std::move(*told);
    } else {
        report.verdict = plugin::Verdict::fail;
        report.code = ETIMEDOUT;
        report.detail = "timed out after " + timeout;
    }
    // For some pulses silence is what they wait for.
    if (report.verdict != plugin::Verdict::pass) Tally::add(tally_.timed_out);
    finish(slot, report, now);
}

// What is booked instead of a failure when the deadline was seen much too late; nullopt: it was not.
std::optional<plugin::Report> Lane::held_up(Slot slot, uint64_t now) const {
    const base::Nanos timeout = probes_.aim(slot).spec.pulse.timeout;
    const uint64_t deadline = scheduler_.started(slot) + base::ns_of(timeout);
    if (now <= deadline + stall) return std::nullopt;
    plugin::Report report;
    report.code = ETIMEDOUT;
    report.detail = "no answer was seen within " + base::duration_text(timeout) +
                    ", but this process was held up for " +
                    base::duration_text(std::chrono::milliseconds((now - deadline) / 1'000'000));
    return report;
}

// Some pulses watch the time as well, and may see its end before turn() does.
void Lane::answered(Slot slot, const plugin::Report& report) {
    const uint64_t now = loop_.now();
    const auto stalled =
        report.verdict == plugin::Verdict::fail ? held_up(slot, now) : std::optional<plugin::Report>();
    finish(slot, stalled ? *stalled : report, now);
}

void Lane::recheck(Slot slot) {
    if (slot >= asked_.size() || scheduler_.runs(slot)) return;
    const uint64_t now = loop_.now();
    uint64_t due = now;
    // One that asks again after each check it asked for does not get more than four a second that way.
    if (was_asked_[slot]) due = std::max(now, scheduler_.started(slot) + asked_gap);
    Tally::add(tally_.rechecks);
    asked_[slot] = true;
    scheduler_.hasten(slot, due, now);
    arm();
}

// Books the result of a check and plans the next one.
void Lane::finish(Slot slot, const plugin::Report& report, uint64_t now) {
    const uint64_t started = scheduler_.started(slot);
    Probes::Result result;
    result.verdict = report.verdict;
    result.share = report.share;
    result.code = report.code;
    result.latency_ns = report.latency_ns ? report.latency_ns : now - started;
    result.reason = report.detail.empty() ? std::string_view(in_words(report.verdict)) : report.detail;
    result.warning = report.warning;
    result.reported = failure_reported_[slot];
    const Probes::Effect effect = probes_.record(slot, result, Scheduler::tick, started, now, wall(now));
    scheduler_.finish(slot, effect.due, now);
    tally_.ended(report.verdict);
    if (effect.gone) return;  // the command is on its way
    if (effect.sign != effect.sign_before) {
        const Probes::Aim aim = probes_.aim(slot);
        crew_.watch.turned(aim.address.ip, effect.sign_before, effect.sign, longest_gap(aim.spec.pulse), now);
        watch_suspicion();
    }
    if (effect.concerns()) concern(slot, effect, report, now);
}

// The backends of a probe, when something about it changed.
void Lane::concern(Slot slot, const Probes::Effect& effect, const plugin::Report& report, uint64_t now) {
    concerned_.clear();
    probes_.subscribers(slot, concerned_);
    if (concerned_.empty()) return;
    const Probes::Aim aim = probes_.aim(slot);
    if (effect.trouble_changed())
        tell_trouble(aim, effect, report.detail.empty() ? in_words(report.verdict) : report.detail, now);
    for (const model::BackendId id : concerned_) {
        const auto changed = crew_.board->refresh(id, now, wall(now));
        if (!changed) continue;
        if (changed->tell) crew_.home(id).note(id);
        if (changed->state_changed()) {
            crew_.state_lines.tell(now, *changed, [&] {
                return StateLines::Words{crew_.board->names(id), aim.address, aim.spec.pulse.type,
                                         crew_.board->because(id, now)};
            });
        } else if (changed->share != changed->share_before) {
            share_lines_.tell(
                now, [&] { log_share(crew_.board->names(id), aim, *changed, report.detail); },
                [] {
                    base::log_info(
                        "more backends ask for another share of their weight than are written out here: GET "
                        "/service/NAME?expand=backends has it of each");
                });
        }
    }
}

// Of a probe that several backends share: of all of them at once.
void Lane::tell_trouble(const Probes::Aim& aim, const Probes::Effect& effect, std::string_view reason,
                        uint64_t now) {
    const auto write = [&] {
        log_trouble(crew_.board->names(concerned_.front()), aim, concerned_.size(), effect, reason);
    };
    if (effect.trouble) {
        trouble_lines_.tell(now, write, [] {
            base::log_warning(
                "more backends can not be checked than are written out here: GET "
                "/service/NAME?expand=backends has each");
        });
    } else {
        well_lines_.tell(now, write, [] {
            base::log_info(
                "more backends can be checked again than are written out here: GET "
                "/service/NAME?expand=backends has each");
        });
    }
}

void Lane::note(model::BackendId id) {
    const bool first = notes_.with([&](std::vector<model::BackendId>& notes) {
        notes.push_back(id);
        return notes.size() == 1;
    });
    if (first) post(&Lane::tell);
}

void Lane::tell() {
    std::vector<model::BackendId> ids;
    notes_.with([&](std::vector<model::BackendId>& notes) { ids.swap(notes); });
    std::vector<Changed> changes;
    changes.reserve(ids.size());
    const uint64_t now = loop_.now();
    for (const model::BackendId id : ids) {
        if (auto change = crew_.board->collect(id, now)) changes.push_back(std::move(*change));
    }
    if (!changes.empty()) crew_.on_changed(changes);
}

void Lane::push(model::BackendId id, plugin::PushReport report, PushDone done, Pushed so_far) {
    loop_.post([weak = weak_from_this(), id, report = std::move(report), done = std::move(done),
                so_far = std::move(so_far)] {
        if (const auto lane = weak.lock()) {
            lane->push_here(id, report, done, so_far);
        } else {
            done(base::fail(base::Errc::unavailable, "gorbd is ending"));
        }
    });
}

void Lane::push_here(model::BackendId id, const plugin::PushReport& report, const PushDone& done,
                     Pushed so_far) {
    const std::vector<Board::Ref> refs = crew_.board->checks(id);
    for (; so_far.check < refs.size(); ++so_far.check) {
        const Board::Ref& ref = refs[so_far.check];
        Lane& other = *crew_.lanes[ref.lane];
        if (&other != this) {
            other.push(id, report, done, std::move(so_far));
            return;
        }
        const base::Status taken = with_subject(ref.slot, [&](const Prober::Subject& subject) {
            return prober_.push(ref.slot, subject, report);
        });
        // That one takes none, or is in trouble, is no word on those to come. Of who takes some the words
        // count.
        if (taken) {
            so_far.taken = true;
            reach(ref.slot);
            failure_reported_[ref.slot] = report.verdict == plugin::Verdict::fail;
        } else if (so_far.refused || so_far.refused.error().code == base::Errc::unsupported) {
            so_far.refused = taken;
        }
    }
    if (!so_far.taken && so_far.refused)
        so_far.refused = base::fail(base::Errc::not_found, "this backend is not checked");
    done(so_far.taken ? base::Status{} : so_far.refused);
}

// Sees to it that the next turn comes when the scheduler wants it.
void Lane::arm() {
    tally_.in_flight.store(scheduler_.running(), std::memory_order_relaxed);
    tally_.held_back.store(scheduler_.held_back(), std::memory_order_relaxed);
    const uint64_t wake = scheduler_.wake();
    if (wake >= armed_) return;
    loop_.cancel(timer_);
    timer_ = loop_.at(wake, [this] { turn(); });
    armed_ = wake;
}

// While there is suspicion, it must be looked at even when no result comes.
void Lane::watch_suspicion() {
    if (!crew_.watch.frozen() || suspicion_timer_ != 0) return;
    suspicion_timer_ = loop_.at(loop_.now() + 100'000'000, [this] {
        suspicion_timer_ = 0;
        crew_.watch.tick(loop_.now());
        watch_suspicion();
    });
}

}  // namespace gorb::health
