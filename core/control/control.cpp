#include "control/control.h"

#include <array>
#include <atomic>
#include <thread>
#include <tuple>
#include <utility>

#include "base/clock.h"
#include "base/guarded.h"
#include "base/log.h"
#include "control/changer.h"
#include "control/parts.h"
#include "control/rounds.h"
#include "control/starter.h"
#include "model/codec.h"
#include "model/scheduler.h"
#include "reconcile/records.h"

namespace gorb::control {

using base::Errc;
using base::Result;

namespace {

// Names of schedulers that kernels are known to have (Documentation of ip_vs and net/netfilter/ipvs/Kconfig);
// which of them this kernel has, it is asked.
constexpr std::array<std::string_view, 14> known_schedulers = {
    "rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "mh", "sed", "nq", "fo", "ovf", "twos"};

constexpr char stopping[] = "gorbd is stopping and takes no more changes";

}  // namespace

struct Control::Impl {
    Impl(Parts::Makings makings, Options o)
        : options(o),
          parts(std::move(makings)),
          changer(parts),
          rounds(parts.sync, parts.clock, o.reconcile_period_ns, [this] { return parts.look_at_vips(); }) {
        if (auto found = parts.driver->info()) info = *found;
    }

    void run();
    void help();
    bool decide(Inbox::Content& content);
    void look_around();
    void finish();
    void health_changed(const health::Changed& change);
    void settle();
    void retry();
    void look_at_drains();
    void publish_totals();
    uint64_t next_wake(bool closed) const;
    void answer_schedulers(const std::function<void(Result<std::vector<std::string>>)>& done);

    const Options options;
    Parts parts;
    Changer changer;
    Rounds rounds;
    ipvs::Info info;
    std::optional<std::vector<std::string>> schedulers;
    base::Guarded<Totals> totals;
    std::atomic<bool> declared_refused = false;
    bool finishing = false;
    std::atomic<std::thread::id> helper;
    std::array<std::thread, 2> threads;
};

// Of two threads. What there is to do is turns, and writing what they leave for the database, each by one
// thread at a time: a disk that hangs has one of the two, and the other one goes on with the turns. While it
// does not, one thread takes a change, makes it durable and answers it, and nobody has to be woken in
// between.
void Control::Impl::run() {
    while (auto content = parts.inbox.take()) {
        parts.busy_since = parts.clock.now();
        if (decide(*content)) look_around();
        parts.busy_since = 0;
        parts.inbox.end_turn(next_wake(content->closed), parts.clock.now(), parts.keeper.durable());
        while (parts.keeper.work() && !parts.inbox.filled()) {
        }
    }
}

// The same by one thread more, for changes of its own and what comes of them. What is due by its time, and
// what others ask for meanwhile, is left to the two.
void Control::Impl::help() {
    for (auto content = parts.inbox.take_own(); content; content = parts.inbox.take_more()) {
        parts.busy_since = parts.clock.now();
        decide(*content);
        parts.busy_since = 0;
        parts.inbox.end_turn(next_wake(false), parts.clock.now(), true);
        while (parts.keeper.work() && !parts.inbox.filled()) {
        }
    }
    parts.inbox.leave();
}

// What has come in. false: it is the end.
bool Control::Impl::decide(Inbox::Content& content) {
    for (const auto& reply : content.replies) reply();
    for (const auto& question : content.questions) question();
    if (finishing) {
        finish();
        return false;
    }
    if (content.suspicion) parts.weights.suspect(*content.suspicion, *parts.store.snapshot());
    for (const auto& [id, change] : content.health) health_changed(change);
    changer.take(std::move(content.changes));
    changer.go_on();
    settle();
    parts.vips.look(parts.clock.now());
    // What is acknowledged is in the kernel, what it meant for other backends and for VIPs as well.
    for (auto& [done, result] : changer.answers()) done(std::move(result));
    if (content.closed && changer.idle()) finish();
    return !content.closed;
}

// What is due by its time.
void Control::Impl::look_around() {
    look_at_drains();
    retry();
    rounds.step(*parts.store.snapshot());
    publish_totals();
    parts.vips.look(parts.clock.now());
    for (auto& [done, counts] : rounds.answers()) done(counts);
    parts.keeper.look();
}

// What was made is removed where that was asked for, and what is owed to the store is written, as far as it
// can be: that takes as many turns as the database has answers, and in these nothing else is done. A weight
// that is due would put back what has just been removed.
void Control::Impl::finish() {
    if (!std::exchange(finishing, true)) {
        if (options.release_on_exit) parts.release();
        parts.keeper.settle();
    } else if (!parts.keeper.busy()) {
        parts.keeper.look();  // a file that turned out to be lost is made anew
    }
    if (!parts.keeper.busy()) parts.inbox.end();
}

void Control::Impl::health_changed(const health::Changed& change) {
    const Slot* slot = parts.slots.find(change.id);
    if (!slot) return;  // removed in the meantime
    const auto known = [&] {
        const health::Member member = parts.weights.seen(*slot);
        return std::tuple(member.state, member.since, member.back_since, member.unproven, member.share);
    };
    const auto before = known();
    parts.weights.health_changed(change);
    // After a start each is told as what it is known to be: to write that again would be a row for each
    // backend.
    if (known() != before) parts.remember_health(*slot);
}

// Of what a turn does: at the end that is less.
uint64_t Control::Impl::next_wake(bool closed) const {
    if (finishing) return 0;
    uint64_t at = base::earlier(parts.weights.next(), changer.next());
    if (closed) return at;
    at = base::earlier(at, parts.drains.next());
    at = base::earlier(at, parts.sync.next());
    at = base::earlier(at, parts.vips.next());
    at = base::earlier(at, rounds.next());
    return base::earlier(at, parts.keeper.next());
}

void Control::Impl::settle() {
    for (const std::string& service : parts.weights.settle(*parts.store.snapshot()))
        parts.restore_destinations(service);
}

// Services that the kernel refused, and what would not leave it.
void Control::Impl::retry() {
    const uint64_t now = parts.clock.now();
    if (parts.sync.next() == 0 || parts.sync.next() > now) return;
    const model::SnapshotPtr state = parts.store.snapshot();
    for (const std::string& name : parts.sync.due(now)) {
        if (const auto* service = state->services.find(name)) {
            parts.sync.services({service, 1}, Sync::Why::change);
        } else {
            parts.sync.forget(name);
        }
    }
    parts.sync.leave(*state);
}

// A drain that is over becomes a change like any other.
void Control::Impl::look_at_drains() {
    for (const Drains::Over& over : parts.drains.look(*parts.store.snapshot(), *parts.driver)) {
        // Who takes it out of its drain in the meantime has the last word.
        const Match match{false, {parts.etag(over.revision)}};
        Change change;
        if (over.then == model::DrainThen::remove) {
            change = DeleteBackend{over.service, over.backend, match, base::Nanos(0)};
        } else {
            change = PatchBackend{over.service, over.backend, R"({"admin": "maint"})", match};
        }
        parts.inbox.put(Submitted{std::move(change), [this, id = over.id](const Result<Outcome>& outcome) {
                                      if (!outcome) parts.drains.again(id);
                                  }});
    }
}

void Control::Impl::publish_totals() {
    const Rounds::Totals& t = rounds.totals();
    totals.with([&](Totals& out) { out = {t.rounds, t.drift, t.refused, t.last_wall}; });
}

void Control::Impl::answer_schedulers(const std::function<void(Result<std::vector<std::string>>)>& done) {
    if (!schedulers) {
        auto probed = parts.driver->probe_schedulers(known_schedulers);
        if (!probed) {
            done(base::fail(probed.error()));
            return;
        }
        schedulers = std::move(*probed);
    }
    done(*schedulers);
}

// ---- the public face

Control::Control(std::unique_ptr<ipvs::Driver> driver, std::unique_ptr<ipvs::VipTable> vips,
                 const plugin::Registry& registry, Options options, std::unique_ptr<store::Database> database)
    : impl_(std::make_unique<Impl>(
          Parts::Makings{std::move(driver), std::move(vips), std::move(database), &registry, options.guard,
                         options.repair_drift, options.clock},
          options)) {}

Control::~Control() {
    stop();
}

void Control::connect(health::Engine& engine) {
    impl_->parts.engine = &engine;
}

base::Status Control::start() {
    auto loaded = impl_->parts.keeper.load();
    if (!loaded) return base::fail(loaded.error());
    // Not before: a daemon that can not start flushes nothing.
    if (impl_->options.flush) {
        if (auto flushed = impl_->parts.driver->flush(); !flushed) return flushed;
        base::log_warning("flushed: every virtual service was removed from the kernel's table");
    }
    const bool durable = impl_->parts.keeper.durable();
    auto started =
        start_from(impl_->parts, std::move(*loaded), impl_->options.force, impl_->options.declares);
    if (!started) return base::fail(started.error());
    if (durable) {
        base::log_info("desired state loaded", {{"services", std::to_string(started->services)},
                                                {"backends", std::to_string(started->backends)},
                                                {"added", std::to_string(started->kernel.added)},
                                                {"changed", std::to_string(started->kernel.edited)},
                                                {"removed", std::to_string(started->kernel.removed)},
                                                {"refused", std::to_string(started->kernel.refused)},
                                                {"kernel_us", std::to_string(started->kernel.ns / 1000)}});
    }
    impl_->parts.inbox.end_turn(impl_->next_wake(false), impl_->parts.clock.now(), false);
    for (size_t i = 0; i < impl_->threads.size(); ++i) {
        impl_->threads[i] = std::thread([impl = impl_.get(), name = "control-" + std::to_string(i)] {
            pthread_setname_np(pthread_self(), name.c_str());
            impl->run();
        });
    }
    return {};
}

void Control::believe_no_more() {
    impl_->parts.inbox.close_to_health();
}

void Control::stop() {
    impl_->parts.inbox.close();
    for (std::thread& thread : impl_->threads) {
        if (thread.joinable()) thread.join();
    }
}

void Control::submit(Change change, const Done& done) {
    const bool own = impl_->helper == std::this_thread::get_id() && concerns_a_backend(change);
    Submitted submitted{std::move(change), done};
    Inbox& inbox = impl_->parts.inbox;
    if (own ? inbox.put_own(std::move(submitted)) : inbox.put(std::move(submitted))) return;
    done(base::fail(Errc::unavailable, stopping));
}

void Control::helps() {
    impl_->helper = std::this_thread::get_id();
}

size_t Control::own() const {
    return impl_->parts.inbox.own();
}

void Control::help() {
    impl_->help();
}

void Control::preview(model::Config config, const std::function<void(Result<Preview>)>& done) {
    const auto asked = std::make_shared<model::Config>(std::move(config));
    if (!impl_->parts.inbox.put([impl = impl_.get(), asked, done] { done(impl->changer.preview(*asked)); }))
        done(base::fail(Errc::unavailable, stopping));
}

void Control::reconcile(const std::function<void(Result<SyncCounts>)>& done, bool force) {
    const auto question = [impl = impl_.get(), done, force] {
        if (force) impl->parts.let_held_go();
        impl->rounds.ask(done);
    };
    if (!impl_->parts.inbox.put(question)) done(base::fail(Errc::unavailable, stopping));
}

void Control::ownership(const std::function<void(Result<Ownership>)>& done) {
    const auto question = [impl = impl_.get(), done] {
        done(Ownership{impl->parts.store.snapshot(), impl->parts.leaving, impl->parts.sync.held(),
                       impl->parts.sync.drift()});
    };
    if (!impl_->parts.inbox.put(question)) done(base::fail(Errc::unavailable, stopping));
}

reconcile::Table Control::wanted(const model::Snapshot& snapshot, std::set<reconcile::Entry>* absent) const {
    reconcile::Table table;
    snapshot.services.for_each([&](const std::string&, const model::ServicePtr& service) {
        const ipvs::ServiceKey key = reconcile::kernel_key(service->spec.key);
        reconcile::TableService& wanted = table[key];
        wanted.record = reconcile::service_record(service->spec);
        std::vector<ipvs::DestRecord> dests;
        dests.reserve(service->backends.size());
        service->backends.for_each([&](const std::string&, const model::BackendPtr& backend) {
            const Slots::Published slot = impl_->parts.slots.published(backend->id);
            if (slot.decision.present) {
                dests.push_back(reconcile::dest_record(backend->spec, slot.decision.effective));
            } else if (absent) {
                absent->insert({key, backend->spec.address});
            }
        });
        wanted.dests = reconcile::dests_of(std::move(dests));
    });
    return table;
}

std::string Control::refused(const model::Service& service) const {
    std::string words = impl_->parts.sync.refused(service.name);
    if (!words.empty()) return words;
    words = impl_->parts.vips.refused(service.key.vip.ip);
    return words.empty() ? words : "its VIP could not be added: " + words;
}

void Control::declared(const base::Status& outcome) {
    const bool refused = !outcome, before = impl_->declared_refused.exchange(refused);
    if (!refused && !before) return;
    impl_->parts.events.add(
        {0, impl_->parts.clock.wall(), "declared", "", "", "",
         refused ? "the declarative files are not applied, all stays as it is: " + outcome.error().sentence
                 : "the declarative files are applied again"});
}

bool Control::declared_refused() const {
    return impl_->declared_refused;
}

std::vector<Event> Control::events(uint64_t after) const {
    return impl_->parts.events.since(after);
}

StoreStatus Control::store() const {
    return impl_->parts.keeper.status();
}

Totals Control::totals() const {
    return impl_->totals.with([](const Totals& t) { return t; });
}

void Control::health_changed(std::span<const health::Changed> changes) {
    impl_->parts.inbox.put(changes);
}

model::SnapshotPtr Control::snapshot() const {
    return impl_->parts.store.snapshot();
}

std::string Control::etag(uint64_t revision) const {
    return impl_->parts.etag(revision);
}

void Control::suspected(const health::Suspicion& suspicion) {
    impl_->parts.inbox.put(suspicion);
}

void Control::push(const std::string& service, const std::string& backend, const health::Push& push,
                   const std::function<void(base::Status)>& done) {
    const model::SnapshotPtr now = snapshot();
    const auto* entry = now->services.find(service);
    const auto* found = entry ? (*entry)->backends.find(backend) : nullptr;
    if (!found) {
        done(base::fail(Errc::not_found,
                        entry ? "service \"" + service + "\" has no backend \"" + backend + "\""
                              : "there is no service \"" + service + "\""));
    } else if ((*found)->spec.admin == model::Admin::maint) {
        done(base::fail(Errc::exists,
                        "the backend is in maintenance and not checked; PATCH {\"admin\": \"ready\"} "
                        "first"));
    } else if (const std::string why = unchecked(**found); !why.empty()) {
        done(base::fail(Errc::unavailable, "the backend can not be checked: " + why));
    } else if (!impl_->parts.engine) {
        done(base::fail(Errc::unavailable, "nothing is checked here"));
    } else {
        impl_->parts.engine->push((*found)->id, push, done);
    }
}

EffectiveWeight Control::weight_of(const model::BackendEntry& backend) const {
    Slots::Published slot = impl_->parts.slots.published(backend.id);
    EffectiveWeight weight;
    weight.configured = backend.spec.weight;
    weight.effective = slot.weight;
    weight.decision = slot.decision;
    weight.present = slot.present;
    weight.not_applied = std::move(slot.not_applied);
    return weight;
}

void explain(EffectiveWeight& weight, const model::Service& service, const std::string& because) {
    const health::Decision& decided = weight.decision;
    weight.words = health::factor_words(service, decided, because);
    const bool as_decided =
        weight.present == decided.present && (!weight.present || weight.effective == decided.effective);
    if (!as_decided) {
        weight.why = "the kernel did not take another weight";
    } else if (weight.effective != weight.configured || decided.cause == health::Cause::panic ||
               decided.cause == health::Cause::kept || decided.cause == health::Cause::held ||
               decided.cause == health::Cause::before) {
        weight.why = health::words(service, decided, because);
    }
}

PoolStatus Control::pool_of(const model::Service& service) const {
    PoolStatus status;
    const Pool pool = impl_->parts.weights.pool(service.name).value_or(Pool());
    status.assessment = pool.assessment;
    status.since_wall = pool.since_wall;
    status.because = words(service, pool);
    status.warnings = health::pool_warnings(service, status.assessment);
    status.flags = model::flags_text(service.scheduler, model::effective_flags(service));
    status.on_down_remove = model::effective_on_down(service) == model::OnDown::remove;
    return status;
}

std::optional<DrainView> Control::drain_of(const model::BackendEntry& backend) const {
    return impl_->parts.drains.view(backend.id);
}

health::Suspicion Control::suspicion() const {
    return impl_->parts.engine ? impl_->parts.engine->suspicion() : health::Suspicion{};
}

health::Counters Control::health_counters() const {
    return impl_->parts.engine ? impl_->parts.engine->counters() : health::Counters{};
}

std::optional<health::View> Control::health_of(const model::BackendEntry& backend) const {
    if (!impl_->parts.engine) return std::nullopt;
    auto view = impl_->parts.engine->read(backend.id);
    if (view) return view;
    const std::string why = unchecked(backend);
    if (why.empty()) return std::nullopt;
    view.emplace().because = "it can not be checked: " + why;
    view->warning = "can not be checked: " + why;
    return view;
}

std::string Control::unchecked(const model::BackendEntry& backend) const {
    if (backend.spec.admin == model::Admin::maint) return {};
    const std::string why = impl_->parts.unchecked.with([&](const auto& all) {
        const auto found = all.find(backend.id);
        return found == all.end() ? std::string() : found->second;
    });
    // It may have got another pulse.
    const bool checked = why.empty() || !impl_->parts.engine || impl_->parts.engine->read(backend.id);
    return checked ? std::string() : why;
}

const ipvs::Info& Control::driver_info() const {
    return impl_->info;
}

void Control::schedulers(const std::function<void(Result<std::vector<std::string>>)>& done) {
    if (!impl_->parts.inbox.put([impl = impl_.get(), done] { impl->answer_schedulers(done); }))
        done(base::fail(Errc::unavailable, "gorbd is stopping"));
}

uint64_t Control::busy_since() const {
    return impl_->parts.busy_since;
}

}  // namespace gorb::control
