// Pulses (health checks): the values an author sees, base classes for the usual shapes, and the trampolines.
//
// Part of gorb/plugin.hpp. A pulse is a class `P`, one object for each target:
//
//   struct P {
//       static constexpr const char *name = "tcp", *version = "1.0.0", *summary = "one line";
//       static constexpr gorb_option args[] = {...};      // optional: what a target may set
//       static constexpr gorb_option options[] = {...};   // optional: what the instance may be configured
//       with using Instance = X;                // optional: X(const Host&, const Config&), shared by all P
//       static void check(const Config&);  // optional: throws Error when the arguments do not fit [any]
//       P(const Host&, const Target&);     // or P(X&, const Target&); throws Error to refuse
//       void start(const Run&);            // begin one check; answer now or later, once
//       void cancel();                     // the run is over: stop what start() began
//       void expire();                     // optional: instead of cancel() when the deadline has passed; an
//                                          // answer given in here still counts
//       void push(const Push&);            // optional: somebody reports; throws Error to refuse
//   };
//
// No function of P is called while another one is running, check() excepted. After cancel(), or after the
// answer, start() may come again; the destructor may come at any time between two calls, with a run open or
// not. Exceptions: thrown by start(), they make the run's verdict UNKNOWN, those other than Error a log line
// as well; by cancel(), a log line.
#ifndef GORB_SDK_PULSE_HPP
#define GORB_SDK_PULSE_HPP
#include <gorb/sdk/connection.hpp>

#include <array>
#include <type_traits>

namespace gorb::sdk {

enum class Verdict : uint32_t { unknown = GORB_UNKNOWN, pass = GORB_PASS, fail = GORB_FAIL };

struct Result {
    Verdict verdict = Verdict::unknown;
    std::string detail;                   // why, in words; the host keeps the first 256 bytes
    int32_t code = 0;                     // the protocol's own code, 0 for none
    uint32_t share = 100;                 // per cent of its configured weight that the target asks for
    std::chrono::nanoseconds latency{0};  // 0: the host takes the time from start()
    std::string warning{};                // what is fine yet and will not be for long; "" for nothing

    static Result pass(std::string why = {}, int32_t code = 0) {
        return {Verdict::pass, std::move(why), code};
    }
    static Result fail(std::string why, int32_t code = 0) { return {Verdict::fail, std::move(why), code}; }
    static Result unknown(std::string why, int32_t code = 0) {
        return {Verdict::unknown, std::move(why), code};
    }
};

// One attempt, which wants one answer. A small value: copy it freely, answer from any thread. A second or
// late answer is dropped by the host (and returns false). [any]
class Run {
  public:
    Run() noexcept = default;
    Run(const gorb_host* host, const gorb_pulse_host* pulse, gorb_run id, uint64_t deadline_ns) noexcept
        : host_(host), pulse_(pulse), id_(id), deadline_(deadline_ns) {}

    gorb_run id() const noexcept { return id_; }
    uint64_t deadline() const noexcept { return deadline_; }  // monotonic ns; the host enforces it

    bool report(const Result& result) const noexcept {
        if (!pulse_) return false;
        gorb_result raw{};
        raw.struct_size = sizeof raw;
        raw.verdict = static_cast<uint32_t>(result.verdict);
        raw.share = result.share;
        raw.code = result.code;
        raw.latency_ns = static_cast<uint64_t>(std::max<int64_t>(result.latency.count(), 0));
        raw.detail = str(result.detail);
        raw.warning = str(result.warning);
        return pulse_->report(host_, id_, &raw) == 0;
    }
    bool pass(std::string_view why = {}, int32_t code = 0) const noexcept {
        return say(GORB_PASS, why, code);
    }
    bool fail(std::string_view why, int32_t code = 0) const noexcept { return say(GORB_FAIL, why, code); }
    bool unknown(std::string_view why, int32_t code = 0) const noexcept {
        return say(GORB_UNKNOWN, why, code);
    }

    // Asks for a check of this run's target now, since something happened to it (its connection closed, say).
    // Of the target's newest run only, and after its answer. [loop]
    void recheck() const noexcept {
        if (pulse_ && GORB_HAS(gorb_pulse_host, pulse_, recheck) && pulse_->recheck)
            pulse_->recheck(host_, id_);
    }

  private:
    bool say(uint32_t verdict, std::string_view why, int32_t code) const noexcept {
        if (!pulse_) return false;
        const gorb_result raw = {sizeof(gorb_result), verdict, 100, code, 0, str(why), {}};
        return pulse_->report(host_, id_, &raw) == 0;
    }
    const gorb_host* host_ = nullptr;
    const gorb_pulse_host* pulse_ = nullptr;
    gorb_run id_ = 0;
    uint64_t deadline_ = 0;
};

// What is to be checked. A view: lives as long as the call that got it.
class Target {
  public:
    explicit Target(const gorb_target* c) noexcept : c_(c) {}
    const gorb_target* c() const noexcept { return c_; }
    const gorb_addr& address() const noexcept { return c_->addr; }
    // For the sockets of the check; ConnectionPulse applies all three.
    uint32_t fwmark() const noexcept { return c_->fwmark; }
    gorb_addr source() const noexcept {
        return GORB_HAS(gorb_target, c_, source) ? c_->source : gorb_addr{};  // family 0: the kernel chooses
    }
    std::string_view interface() const noexcept {
        return GORB_HAS(gorb_target, c_, interface) ? view(c_->interface) : std::string_view{};
    }
    std::string_view service() const noexcept { return view(c_->service); }
    std::string_view backend() const noexcept { return view(c_->backend); }
    std::string_view host_name() const noexcept { return view(c_->name); }  // no host gives one: ""
    Config args() const noexcept { return Config(c_->args); }

  private:
    const gorb_target* c_;
};

// What somebody reports of a target, for pulses with `void push(const Push&)`.
struct Push {
    Verdict verdict = Verdict::pass;  // or fail
    uint32_t share = 100;
    int32_t code = 0;
    std::string_view detail;  // lives as long as the call
};

// Base of a pulse that talks over one connection for each check: connect, send, match, close. The derived
// class says what to do when the connection is open and with what comes back, and ends the run with done().
// What opened(), received() or closed() throw ends it with UNKNOWN, in the words of the exception.
class ConnectionPulse : private ConnectionEvents {
  public:
    ConnectionPulse(const ConnectionPulse&) = delete;
    ConnectionPulse& operator=(const ConnectionPulse&) = delete;
    virtual ~ConnectionPulse() = default;

    void start(const Run& run) {
        run_ = run;
        answered_ = false;
        options_.deadline_ns = run.deadline();
        connection_.open(options_);  // throws for trouble of our own: verdict UNKNOWN
    }
    void cancel() noexcept { connection_.close(); }

  protected:
    // port: another one than the backend's; 0 for the backend's own.
    ConnectionPulse(const Host& host, const Target& target, uint32_t transport = GORB_TCP, int64_t port = 0)
        : host_(host), connection_(host, *this) {
        options_.transport = transport;
        options_.peer = target.address();
        options_.fwmark = target.fwmark();
        options_.source = target.source();
        options_.interface = target.interface();
        if (port > 0 && port <= 65535) options_.peer.port = static_cast<uint16_t>(port);
    }
    const Host& host() const noexcept { return host_; }
    const gorb_addr& peer() const noexcept { return options_.peer; }
    int32_t send(std::string_view bytes) noexcept { return connection_.send(bytes); }

    // Closes the connection and answers. No event follows.
    void done(const Result& result) noexcept {
        connection_.close();
        answered_ = true;
        run_.report(result);
    }
    // What a connection that ended says by itself: FAIL in words, or UNKNOWN when the trouble is our own.
    static Result ended(int32_t why) {
        if (why == 0) return Result::fail("connection closed by the other side");
        return {our_trouble(why) ? Verdict::unknown : Verdict::fail, errno_words(why), why < 0 ? -why : why};
    }

    void opened() override = 0;
    size_t received(std::string_view bytes) override { return bytes.size(); }
    void closed(int32_t why) override {
        Result result = ended(why);
        const std::string_view reason = connection_.reason();
        if (!reason.empty()) result.detail = reason;
        done(result);
    }
    void failed(std::string_view what) noexcept override {
        connection_.close();  // which closed() may have opened again
        if (!std::exchange(answered_, true)) run_.unknown(what);
    }

    Connection::Options& options() noexcept { return options_; }  // of the connections to come
    const Run& run() const noexcept { return run_; }
    Connection& connection() noexcept { return connection_; }

  private:
    const Host& host_;
    Connection connection_;
    Connection::Options options_;
    Run run_;
    bool answered_ = true;  // by done() or failed(), so that an exception after it is no second answer
};

// Base of a pulse whose check has to block: Check is made once from the target; its check() runs on a worker
// thread and returns the Result. Never more than one check() of a target runs at once, and a check
// that hangs holds one worker, not one for each interval: later runs wait for it, and the host's deadline
// judges them.
//
//   struct Check { explicit Check(const Target&); Result check(uint64_t deadline_ns); };
//   struct P : BlockingPulse<Check> { using BlockingPulse::BlockingPulse; };
template <class Check>
class BlockingPulse {
  public:
    BlockingPulse(const Host& host, const Target& target) : state_(std::make_shared<State>(host, target)) {}
    ~BlockingPulse() { state_->waiting = Run(); }

    void start(const Run& run) {
        state_->waiting = run;
        if (!state_->busy) State::next(state_);
    }
    void cancel() noexcept { state_->waiting = Run(); }

  private:
    // Outlives the probe while a worker is still in check(): the instance itself is destroyed only after all
    // work is done.
    struct State {
        State(const Host& h, const Target& target) : host(h), check(target) {}
        const Host& host;
        Check check;
        Run waiting;        // loop only
        bool busy = false;  // loop only

        static void next(const std::shared_ptr<State>& state) {
            const Run run = std::exchange(state->waiting, Run());
            auto work = [state, run] {
                Result result;
                try {
                    result = state->check.check(run.deadline());
                } catch (const Error& e) {
                    result = Result::unknown(e.what(), e.number());
                } catch (const std::exception& e) {
                    result = Result::unknown(e.what());
                } catch (...) {
                    result = Result::unknown("the check threw something that is no std::exception");
                }
                run.report(result);
            };
            auto finished = [state] {
                state->busy = false;
                if (state->waiting.id()) next(state);
            };
            try {
                state->busy = submit(state->host, work, finished);
                if (!state->busy) run.unknown("all workers are busy", EAGAIN);
            } catch (const Error& e) {
                run.unknown(e.what(), e.number());
            }
        }
    };
    std::shared_ptr<State> state_;
};

// ---- trampolines: from C to the class and back, noexcept ----

namespace detail {

template <class P, class = void>
struct InstanceOf {
    struct type {  // a pulse without an instance of its own
        explicit type(const Host& h, const Config&) : host(h) {}
        const Host& host;
        operator const Host&() const noexcept { return host; }  // NOLINT: a stand-in for the host
    };
};
template <class P>
struct InstanceOf<P, std::void_t<typename P::Instance>> {
    using type = typename P::Instance;
};

template <class P, class = void>
struct HasPush : std::false_type {};
template <class P>
struct HasPush<P, std::void_t<decltype(std::declval<P&>().push(std::declval<const Push&>()))>>
    : std::true_type {};

template <class P, class = void>
struct HasExpire : std::false_type {};
template <class P>
struct HasExpire<P, std::void_t<decltype(std::declval<P&>().expire())>> : std::true_type {};

template <class P, class = void>
struct HasCheck : std::false_type {};
template <class P>
struct HasCheck<P, std::void_t<decltype(P::check(std::declval<const Config&>()))>> : std::true_type {};

// A table of options as declared, and the terminator the C side looks for.
template <size_t N>
constexpr std::array<gorb_option, N + 1> terminated(const gorb_option (&table)[N]) {
    std::array<gorb_option, N + 1> out{};
    for (size_t i = 0; i < N; ++i) out[i] = table[i];
    return out;
}
template <class P, class = void>
struct Args {
    static constexpr const gorb_option* table = nullptr;
};
template <class P>
struct Args<P, std::void_t<decltype(P::args)>> {
    static constexpr auto all = terminated(P::args);
    static constexpr const gorb_option* table = all.data();
};
template <class P, class = void>
struct Options {
    static constexpr const gorb_option* table = nullptr;
};
template <class P>
struct Options<P, std::void_t<decltype(P::options)>> {
    static constexpr auto all = terminated(P::options);
    static constexpr const gorb_option* table = all.data();
};

// Calls fn; an exception becomes words in `error` and a negative errno.
template <class F>
int32_t explained(gorb_error* error, F&& fn) noexcept {
    try {
        std::forward<F>(fn)();
        return 0;
    } catch (const Error& e) {
        explain(error, e.what());
        return e.code() < 0 ? e.code() : -EINVAL;
    } catch (const std::bad_alloc&) {
        explain(error, "out of memory");
        return -ENOMEM;
    } catch (const std::exception& e) {
        explain(error, e.what());
        return -EINVAL;
    } catch (...) {
        explain(error, "something that is no std::exception was thrown");
        return -EINVAL;
    }
}

}  // namespace detail

// The tables of pulse P, as plain data.
template <class P>
class Pulse {
    using Instance = typename detail::InstanceOf<P>::type;
    struct Holder {
        Holder(const gorb_host* c, const gorb_config* config)
            : host(c),
              pulse(static_cast<const gorb_pulse_host*>(c->service(c, GORB_KIND_PULSE))),
              instance(host, Config(config)) {
            if (!pulse) throw Error("this host does not offer " GORB_KIND_PULSE, ENOSYS);
        }
        Host host;
        const gorb_pulse_host* pulse;
        Instance instance;
    };
    struct Probe {
        Probe(Holder& h, const Target& target) : holder(h), user(h.instance, target) {}
        Holder& holder;
        gorb_run run = 0;  // the newest
        P user;
    };

    static int32_t check(const gorb_config* args, gorb_error* error) noexcept {
        return detail::explained(error, [&] {
            if constexpr (detail::HasCheck<P>::value) P::check(Config(args));
        });
    }
    static void* create(const gorb_host* host, const gorb_config* config, gorb_error* error) noexcept {
        void* self = nullptr;
        detail::explained(error, [&] { self = std::make_unique<Holder>(host, config).release(); });
        return self;
    }
    static void destroy(void* self) noexcept { delete static_cast<Holder*>(self); }
    static void* add(void* self, const gorb_target* target, gorb_error* error) noexcept {
        void* probe = nullptr;
        detail::explained(error, [&] {
            probe = std::make_unique<Probe>(*static_cast<Holder*>(self), Target(target)).release();
        });
        return probe;
    }
    static void remove(void* probe) noexcept { delete static_cast<Probe*>(probe); }
    static void start(void* arg, gorb_run id, uint64_t deadline_ns) noexcept {
        auto* probe = static_cast<Probe*>(arg);
        probe->run = id;
        const Host& host = probe->holder.host;
        const Run run(host.c(), probe->holder.pulse, id, deadline_ns);
        try {
            probe->user.start(run);
        } catch (const Error& e) {  // trouble of our own in words: the verdict says all, at each check
            run.unknown(e.what(), e.number());
        } catch (const std::exception& e) {
            host.warn(e.what(), {{"threw_in", "start"}});
            run.unknown(e.what());
        } catch (...) {
            host.warn("something that is no std::exception was thrown", {{"threw_in", "start"}});
            run.unknown("the check could not be started");
        }
    }
    static void cancel(void* arg, gorb_run id) noexcept {
        auto* probe = static_cast<Probe*>(arg);
        if (probe->run != id) return;  // of a run before this one
        probe->run = 0;
        probe->holder.host.guarded("cancel", [&] { probe->user.cancel(); });
    }
    static void expire(void* arg, gorb_run id) noexcept {
        if constexpr (detail::HasExpire<P>::value) {
            auto* probe = static_cast<Probe*>(arg);
            if (probe->run != id) return;
            if (!probe->holder.host.guarded("expire", [&] { probe->user.expire(); })) cancel(arg, id);
            probe->run = 0;
        }
    }

    static int32_t push(void* arg, const gorb_push* c, gorb_error* error) noexcept {
        return detail::explained(error, [&] {
            if constexpr (detail::HasPush<P>::value) {
                if (c->verdict != GORB_PASS && c->verdict != GORB_FAIL)
                    throw Error("a report is PASS or FAIL");
                const Push pushed{static_cast<Verdict>(c->verdict), c->share, c->code, view(c->detail)};
                static_cast<Probe*>(arg)->user.push(pushed);
            }
        });
    }

    static constexpr gorb_pulse_ops ops = {sizeof(gorb_pulse_ops),
                                           detail::Args<P>::table,
                                           detail::HasCheck<P>::value ? &Pulse::check : nullptr,
                                           &Pulse::create,
                                           &Pulse::destroy,
                                           &Pulse::add,
                                           &Pulse::remove,
                                           &Pulse::start,
                                           &Pulse::cancel,
                                           detail::HasPush<P>::value ? &Pulse::push : nullptr,
                                           detail::HasExpire<P>::value ? &Pulse::expire : nullptr};

  public:
    static constexpr gorb_plugin table = {sizeof(gorb_plugin), GORB_KIND_PULSE,           P::name, P::version,
                                          P::summary,          detail::Options<P>::table, &ops};
};

}  // namespace gorb::sdk
#endif  // GORB_SDK_PULSE_HPP
