#include "mistreat.h"

#include <filesystem>
#include "peers.h"

namespace gorb::check {
namespace {

using testing::FakeHost;
using testing::PulseRunner;
using testing::Report;

// What stands in /proc/self/fd (descriptor -> what it is) or /proc/self/task.
std::map<std::string, std::string> entries_of(const std::string& folder) {
    std::map<std::string, std::string> found;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
        const auto target = std::filesystem::read_symlink(entry.path(), error);
        if (error || target.string().find("/proc/") != 0) found[entry.path().filename()] = target.string();
    }
    return found;
}

// The entries when they have not changed for 20 ms: the servers of these checks live in this process too, and
// take a moment to close what they accepted.
std::map<std::string, std::string> quiet(const std::string& folder) {
    auto found = entries_of(folder);
    for (int i = 0; i < 100; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        auto again = entries_of(folder);
        if (again == found) break;
        found = std::move(again);
    }
    return found;
}

// What is there now and was not in `before`, and stays for five seconds (less, once something did):
// "socket:[1234]", or the name where it is no link.
std::string grown(const std::string& folder, const std::map<std::string, std::string>& before) {
    static int patience = 250;
    std::string names;
    for (int i = 0; i < patience; ++i) {
        names.clear();
        for (const auto& entry : entries_of(folder)) {
            const auto known = before.find(entry.first);
            if (known != before.end() && known->second == entry.second) continue;
            names += (names.empty() ? "" : ", ") + (entry.second.empty() ? entry.first : entry.second);
        }
        if (names.empty()) break;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    if (!names.empty()) patience = 10;
    return names;
}

class Mistreatment {
  public:
    Mistreatment(const gorb_plugin& plugin, const Settings& settings, Findings& findings)
        : plugin_(plugin), settings_(settings), findings_(findings) {}

    void all() {
        if (!arguments()) return;
        instances();
        probes();
        runs();
        reports();
        bad_hosts();
    }

  private:
    // One check on an instance of its own; afterwards the instance must have left nothing behind, kept the
    // contract, and never have held the loop.
    void on_instance(const std::string& name, const std::function<void(FakeHost&, PulseRunner&)>& body) {
        findings_.check(name, [&] {
            const auto before = quiet("/proc/self/fd");
            {
                FakeHost host(testing::Clock::real);
                host.log_level = GORB_LOG_WARN;
                PulseRunner pulse(host, plugin_, settings_.options);
                body(host, pulse);
                for (const std::string& what : pulse.destroy())
                    findings_.fault(what + " left after destroy()");
                look_at(host);
            }
            const std::string left = grown("/proc/self/fd", before);
            if (!left.empty()) findings_.fault("descriptors left after destroy(): " + left);
        });
    }
    void look_at(const FakeHost& host) {
        for (const std::string& words : host.violations()) findings_.fault(words);
        std::set<gorb_run> answered;
        size_t stale = 0, without_share = 0;
        for (const Report& report : host.reports()) {
            if (report.answer == 0) {
                answered.insert(report.run);
                if (report.verdict != GORB_PASS && report.detail.empty())
                    findings_.fault("run " + std::to_string(report.run) +
                                    " did not pass and has no detail that says why");
                without_share += report.verdict == GORB_PASS && report.share == 0 ? 1 : 0;
            } else if (answered.count(report.run)) {
                findings_.fault("run " + std::to_string(report.run) + " was answered twice");
            } else {
                ++stale;
            }
        }
        answers_ += host.reports().size();
        if (without_share)
            findings_.note(std::to_string(without_share) +
                           " times PASS with share 0: such a backend gets no traffic (100 is usual)");
        if (sound_) exceptions(host);
        if (stale) findings_.note(std::to_string(stale) + " late reports, which got -ESTALE");
        const testing::Call slowest = host.slowest();
        if (slowest.took > settings_.slow_call) {
            const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(slowest.took).count();
            findings_.fault(slowest.what + " took " + std::to_string(ms) + " ms, and the loop stood still");
        }
    }
    // What the glue caught in a callback and could only write down. Of a host that has trouble it may be that
    // trouble.
    void exceptions(const FakeHost& host) {
        std::set<std::string> seen;  // each once, however often it was thrown
        for (const testing::LogLine& line : host.logs())
            for (const auto& [key, where] : line.fields)
                if (key == "threw_in" && line.level == GORB_LOG_ERROR &&
                    seen.insert(where + line.text).second)
                    findings_.fault("an exception in " + where + ": " + line.text);
    }
    PulseRunner::Probe add(PulseRunner& pulse, uint16_t port) {
        return pulse.add(testing::address("127.0.0.1", port), settings_.args);
    }
    // A whole check as gorbd makes it: start, wait for the answer, cancel at the deadline.
    void whole(FakeHost& host, PulseRunner& pulse, PulseRunner::Probe probe) {
        const gorb_run run = pulse.start(probe, settings_.timeout);
        const uint64_t deadline = host.in(settings_.timeout);
        host.loop().run_until([&] { return !host.run_open(run) || host.now() >= deadline; });
        if (host.run_open(run)) pulse.cancel(probe, run);
    }
    std::string said(const FakeHost& host) {
        static const char* const names[] = {"UNKNOWN", "PASS", "FAIL"};
        for (const Report& report : host.reports()) {
            if (report.answer != 0 || report.verdict > GORB_FAIL) continue;
            return names[report.verdict] + (report.detail.empty() ? "" : ": " + report.detail);
        }
        return "no answer before the deadline";
    }

    // Without valid settings nothing else can be asked.
    bool arguments() {
        bool good = false;
        findings_.check("the defaults make a valid configuration, and check() accepts it", [&] {
            const testing::FakeConfig options(plugin_.options, settings_.options);
            try {
                const std::string why = PulseRunner::check(plugin_, settings_.args);
                good = why.empty();
                if (!good) findings_.fault("check() refused: " + why);
            } catch (const std::invalid_argument& e) {
                findings_.fault(std::string(e.what()) +
                                "; --arg NAME=VALUE gives arguments, --help tells more");
            }
        });
        return good;
    }
    void instances() {
        findings_.check("create and destroy 50 times leaves nothing behind", [&] {
            FakeHost host(testing::Clock::real);
            { PulseRunner first(host, plugin_, settings_.options); }  // what a library sets up once may stay
            const auto fds = quiet("/proc/self/fd"), threads = quiet("/proc/self/task");
            for (int i = 0; i < 50; ++i) {
                PulseRunner pulse(host, plugin_, settings_.options);
                for (const std::string& what : pulse.destroy())
                    findings_.fault(what + " left after destroy()");
            }
            const std::string left = grown("/proc/self/fd", fds), running = grown("/proc/self/task", threads);
            if (!left.empty()) findings_.fault("descriptors left: " + left);
            if (!running.empty()) findings_.fault("threads left: " + running);
            look_at(host);
        });
        findings_.check("two instances live side by side", [&] {
            FakeHost one(testing::Clock::real), two(testing::Clock::real);
            auto first = std::make_unique<PulseRunner>(one, plugin_, settings_.options);
            PulseRunner second(two, plugin_, settings_.options);
            const Peer peer(Peer::Manner::closed);
            whole(one, *first, add(*first, peer.port()));
            first.reset();
            whole(two, second, add(second, peer.port()));
            second.destroy();
            look_at(one);
            look_at(two);
        });
    }
    void probes() {
        on_instance("add and remove without a start", [&](FakeHost&, PulseRunner& pulse) {
            for (int i = 0; i < 20; ++i) pulse.remove(add(pulse, 9));
        });
        on_instance("destroy follows remove of targets that were never started",
                    [&](FakeHost&, PulseRunner& pulse) {
                        for (int i = 0; i < 20; ++i) add(pulse, 9);
                    });
        const Peer silent(Peer::Manner::silent);
        on_instance("start, and cancel at once", [&](FakeHost& host, PulseRunner& pulse) {
            auto* probe = add(pulse, silent.port());
            for (int i = 0; i < 20; ++i) {
                const gorb_run run = pulse.start(probe, settings_.timeout);
                pulse.cancel(probe, run);
                host.loop().step();
            }
        });
        on_instance("start, and remove at once", [&](FakeHost& host, PulseRunner& pulse) {
            for (int i = 0; i < 20; ++i) {
                auto* probe = add(pulse, silent.port());
                pulse.start(probe, settings_.timeout);
                pulse.remove(probe);
                host.loop().step();
            }
        });
        on_instance("cancel of a run that was answered a moment ago",
                    [&](FakeHost& host, PulseRunner& pulse) {
                        const Peer closed(Peer::Manner::closed);
                        auto* probe = add(pulse, closed.port());
                        const gorb_run run = pulse.start(probe, settings_.timeout);
                        host.loop().run_until([&] { return !host.run_open(run); }, settings_.timeout);
                        pulse.cancel(probe, run);
                        whole(host, pulse, probe);
                    });
    }
    void runs() {
        const std::pair<Peer::Manner, const char*> manners[] = {
            {Peer::Manner::closed, "a port where nobody listens"},
            {Peer::Manner::silent, "a server that says nothing"},
            {Peer::Manner::hang_up, "a server that hangs up at once"},
            {Peer::Manner::babble, "a server that talks nonsense"},
            {Peer::Manner::drip, "a server that talks nonsense byte by byte"},
        };
        for (const auto& [manner, words] : manners) {
            const Peer peer(manner);
            on_instance(std::string("three checks of ") + words, [&](FakeHost& host, PulseRunner& pulse) {
                auto* probe = add(pulse, peer.port());
                for (int i = 0; i < 3; ++i) whole(host, pulse, probe);
                findings_.note(said(host));
            });
        }
        findings_.check("a check is answered, at least by one of these servers", [&] {
            if (answers_ == 0) findings_.fault("report() was never called: every target would be down");
        });
        on_instance(std::to_string(settings_.targets) + " targets at once",
                    [&](FakeHost& host, PulseRunner& pulse) {
                        const Peer closed(Peer::Manner::closed), silent(Peer::Manner::silent);
                        std::vector<std::pair<PulseRunner::Probe, gorb_run>> running;
                        for (size_t i = 0; i < settings_.targets; ++i) {
                            auto* probe = add(pulse, i % 2 ? closed.port() : silent.port());
                            running.emplace_back(probe, pulse.start(probe, settings_.timeout));
                        }
                        const uint64_t deadline = host.in(settings_.timeout);
                        host.loop().run_until([&] { return host.now() >= deadline; });
                        for (const auto& [probe, run] : running)
                            if (host.run_open(run)) pulse.cancel(probe, run);
                    });
        on_instance("destroy with checks under way", [&](FakeHost&, PulseRunner& pulse) {
            const Peer silent(Peer::Manner::silent);
            for (int i = 0; i < 20; ++i) pulse.start(add(pulse, silent.port()), settings_.timeout);
        });
    }
    // What somebody sends may come at any time, and may be nonsense. (gorbd passes on PASS and FAIL only.)
    void reports() {
        if (!has_push()) return;
        on_instance("a report before the first check", [&](FakeHost& host, PulseRunner& pulse) {
            auto* probe = add(pulse, 9);
            findings_.note("push: " + answered(pulse.push(probe, GORB_PASS, "well")));
            whole(host, pulse, probe);
            findings_.note(said(host));
        });
        on_instance("reports while a check runs, after it, and after cancel",
                    [&](FakeHost& host, PulseRunner& pulse) {
                        auto* probe = add(pulse, 9);
                        for (int i = 0; i < 20; ++i) {
                            pulse.push(probe, i % 3 ? GORB_PASS : GORB_FAIL, "report " + std::to_string(i));
                            const gorb_run run = pulse.start(probe, settings_.timeout);
                            pulse.push(probe, GORB_FAIL, "");
                            host.loop().step();
                            pulse.cancel(probe, run);
                            pulse.push(probe, GORB_PASS, std::string(100'000, 'x'), i % 100);
                        }
                        const size_t asked = host.rechecks().size();
                        if (asked) findings_.note("asked for a check " + std::to_string(asked) + " times");
                    });
        on_instance(
            "reports that are nonsense are refused with a sentence", [&](FakeHost& host, PulseRunner& pulse) {
                auto* probe = add(pulse, 9);
                for (const uint32_t verdict : {uint32_t{GORB_UNKNOWN}, 3U, ~0U}) {
                    const std::string why = pulse.push(probe, verdict, "?");
                    if (why.empty())
                        findings_.fault("a report of verdict " + std::to_string(verdict) + " was taken");
                    if (why == "refused without a word") findings_.fault(why);
                }
                pulse.push(probe, GORB_PASS, "\xff\xfe", 4'000'000'000);
                whole(host, pulse, probe);
            });
        on_instance("remove right after a report", [&](FakeHost& host, PulseRunner& pulse) {
            for (int i = 0; i < 20; ++i) {
                auto* probe = add(pulse, 9);
                pulse.push(probe, GORB_FAIL, "down");
                pulse.remove(probe);
                host.loop().step();
            }
        });
    }
    bool has_push() const {
        const auto& ops = *static_cast<const gorb_pulse_ops*>(plugin_.ops);
        return GORB_HAS(gorb_pulse_ops, &ops, push) && ops.push;
    }
    static std::string answered(const std::string& why) { return why.empty() ? "taken" : why; }

    // Our own trouble is UNKNOWN: a FAIL here would take healthy servers out.
    void bad_hosts() {
        sound_ = false;
        // A FAIL that a sound host's pulse gives to a silent server too is no blame. Whether the pulse or its
        // host is the first to speak at a deadline is a matter of moments, so it may take some tries to hear
        // the pulse.
        auto silence_too = [&](const std::string& words) {
            for (int i = 0; i < 20; ++i) {
                FakeHost sound(testing::Clock::real);
                PulseRunner other(sound, plugin_, settings_.options);
                const Peer silent(Peer::Manner::silent);
                whole(sound, other, add(other, silent.port()));
                for (const Report& report : sound.reports())
                    if (report.verdict == GORB_FAIL && report.detail == words) return true;
            }
            return false;
        };
        auto no_blame = [&](FakeHost& host, PulseRunner& pulse, const std::function<bool()>& met) {
            const Peer silent(Peer::Manner::silent);
            whole(host, pulse, add(pulse, silent.port()));
            if (!met()) return;  // the pulse never wanted what could not be had
            for (const Report& report : host.reports())
                if (report.verdict == GORB_FAIL && !silence_too(report.detail))
                    findings_.fault("the target was blamed: FAIL, " + report.detail);
        };
        auto always = [] { return true; };
        on_instance("no connection can be had: not the target's fault",
                    [&](FakeHost& host, PulseRunner& pulse) {
                        host.fail_open = "no free file descriptor in this process";
                        no_blame(host, pulse, always);
                    });
        on_instance("no port is free to connect from: not the target's fault",
                    [&](FakeHost& host, PulseRunner& pulse) {
                        host.fail_connect = EADDRNOTAVAIL;
                        no_blame(host, pulse, always);
                    });
        on_instance("all workers are busy: not the target's fault", [&](FakeHost& host, PulseRunner& pulse) {
            host.most_work = 0;
            no_blame(host, pulse, [&] { return host.refused != 0; });
        });
        on_instance("no timer can be had: not the target's fault", [&](FakeHost& host, PulseRunner& pulse) {
            host.fail_timers = true;
            no_blame(host, pulse, [&] { return host.refused != 0; });
        });
        for (const char* id :
             {GORB_SERVICE_LOOP, GORB_SERVICE_NET, GORB_SERVICE_WORK, GORB_SERVICE_METRICS}) {
            findings_.check(std::string("a host without ") + id + ": refused with a sentence, or works", [&] {
                FakeHost host(testing::Clock::real);
                host.without(id);
                try {
                    PulseRunner pulse(host, plugin_, settings_.options);
                    const Peer closed(Peer::Manner::closed);
                    whole(host, pulse, add(pulse, closed.port()));
                    pulse.destroy();
                } catch (const std::runtime_error& e) {
                    if (!*e.what()) findings_.fault("refused without a word");
                }
                look_at(host);
            });
        }
    }

    const gorb_plugin& plugin_;
    const Settings& settings_;
    Findings& findings_;
    bool sound_ = true;   // the hosts have no trouble
    size_t answers_ = 0;  // reports there have been, late ones too
};

}  // namespace

void mistreat_pulse(const gorb_plugin& plugin, const Settings& settings, Findings& findings) {
    Mistreatment(plugin, settings, findings).all();
}

}  // namespace gorb::check
