// Pulse "dns": asks a name server one question over UDP or TCP and judges the answer. Over UDP the query is
// repeated within the timeout, what does not fit the query is not listened to, and a truncated answer is
// asked for again over TCP.
#include <sys/random.h>

#include <gorb/plugin.hpp>
#include <map>

#include "answer.h"
#include "question.h"

namespace {

using namespace gorb::sdk;
using pulse_dns::Judgement;
using pulse_dns::Question;

// Questions, each once for all targets that ask it.
class Questions {
  public:
    Questions(const Host& host, const Config&) : host_(host) {}

    const Host& host() const { return host_; }
    std::shared_ptr<const Question> get(const Config& args) {
        std::string key;
        for (const char* option : {"name", "record", "class", "expect", "rcode"})
            key += std::string(args.text(option).value_or("")) + '\0';
        key += std::to_string(args.integer("answers").value_or(-1));
        key += args.boolean("recursion").value_or(true) ? "r" : "";
        auto& entry = questions_[key];
        auto question = entry.lock();
        if (question) return question;
        question = std::make_shared<const Question>(Question::parse(args));
        entry = question;
        if (questions_.size() > 2 * most_) {
            for (auto it = questions_.begin(); it != questions_.end();)
                it = it->second.expired() ? questions_.erase(it) : std::next(it);
            most_ = std::max<size_t>(questions_.size(), 16);
        }
        return question;
    }

  private:
    const Host& host_;
    std::map<std::string, std::weak_ptr<const Question>> questions_;
    size_t most_ = 16;  // at the last tidying
};

uint16_t random_id() {
    uint16_t id = 0;
    if (getrandom(&id, sizeof id, 0) != sizeof id) throw Error("the kernel gives no random number", EAGAIN);
    return id;
}

class DnsPulse final : public ConnectionPulse {
  public:
    static constexpr const char *name = "dns", *version = GORB_VERSION,
                                *summary = "asks a name server over UDP or TCP";
    static constexpr gorb_option args[] = {
        {"name", GORB_TEXT, GORB_REQUIRED, nullptr, nullptr,
         "the name to ask for; an address where record is PTR will do"},
        {"record", GORB_TEXT, 0, "A", nullptr,
         "record type: A, AAAA, SOA, NS, MX, TXT, SRV, CNAME, PTR, ... or TYPE123"},
        {"class", GORB_TEXT, 0, "IN", "IN|CH", "CH for names such as version.bind and id.server"},
        {"transport", GORB_TEXT, 0, "udp", "udp|tcp",
         "udp goes over to TCP by itself when the answer is truncated"},
        {"port", GORB_INT, 0, nullptr, "1..65535", "port to ask at, if not the backend's own"},
        {"rcode", GORB_TEXT, 0, "NOERROR", nullptr,
         "response codes that pass: \"NOERROR\", \"NOERROR,NXDOMAIN\""},
        {"expect", GORB_TEXT, 0, nullptr, nullptr,
         "what a record of the answer must hold, as a whole or as whole words of its data: \"192.0.2.1\""},
        {"answers", GORB_INT, 0, "1", "0..500",
         "records of the type that a NOERROR answer must hold at least"},
        {"recursion", GORB_BOOL, 0, "true", nullptr, "ask for recursion (RD)"},
        {"tries", GORB_INT, 0, "3", "1..10",
         "queries sent over UDP, spread over the timeout, until an answer comes"},
    };

    static void check(const Config& config) { Question::parse(config); }

    DnsPulse(Questions& questions, const Target& target)
        : ConnectionPulse(questions.host(), target, GORB_UDP, target.args().integer("port").value_or(0)),
          question_(questions.get(target.args())),
          tcp_(target.args().text("transport").value_or("udp") == "tcp"),
          tries_(static_cast<uint8_t>(target.args().integer("tries").value_or(3))),
          again_(questions.host()) {}

    void start(const Run& run) {
        id_ = random_id();
        sent_ = foreign_ = 0;
        foreign_words_.clear();
        begun_ = host().now();
        deadline_ = run.deadline();
        options().transport = tcp_ ? GORB_TCP : GORB_UDP;
        ConnectionPulse::start(run);
    }
    void cancel() noexcept {
        again_.cancel();
        ConnectionPulse::cancel();
    }
    void expire() {
        connection().close();
        closed(-ETIMEDOUT);
    }

  private:
    bool over_tcp() { return options().transport == GORB_TCP; }

    void opened() override {
        const std::string query = question_->message(id_);
        if (!over_tcp()) return send_datagram();
        std::string framed;
        framed += static_cast<char>(query.size() >> 8);
        framed += static_cast<char>(query.size() & 0xff);
        const int32_t rc = send(framed + query);
        if (rc != 0) return finish(ended(rc));
        sent_ = 1;
    }
    void send_datagram() {
        const int32_t rc = send(question_->message(id_));
        if (rc != 0) return finish(ended(rc));
        ++sent_;
        if (sent_ >= tries_) return;
        const uint64_t step = (deadline_ - std::min(begun_, deadline_)) / tries_;
        again_.at(begun_ + sent_ * step, [this] { send_datagram(); });
    }

    size_t received(std::string_view bytes) override {
        if (!over_tcp()) {
            judge(bytes);
            return bytes.size();
        }
        if (bytes.size() < 2) return 0;
        const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(bytes[i])); };
        const size_t size = byte(0) << 8 | byte(1);
        if (bytes.size() < 2 + size) return 0;  // 64 KiB at most
        judge(bytes.substr(2, size));
        return bytes.size();
    }
    void judge(std::string_view message) {
        Judgement judgement = pulse_dns::judge(*question_, id_, message, !over_tcp());
        switch (judgement.kind) {
            case Judgement::Kind::foreign:
                if (over_tcp())
                    return finish(Result::fail("no answer to the query: " + judgement.words + why_tcp()));
                ++foreign_;
                foreign_words_ = std::move(judgement.words);
                return;
            case Judgement::Kind::truncated:
                return ask_over_tcp();
            case Judgement::Kind::judged:
                if (over_tcp() && !tcp_)
                    judgement.words += " (over TCP, as the answer over UDP was truncated)";
                return finish(judgement.pass ? Result::pass(std::move(judgement.words), judgement.rcode)
                                             : Result::fail(std::move(judgement.words), judgement.rcode));
        }
    }
    void ask_over_tcp() {
        options().transport = GORB_TCP;
        sent_ = 0;
        try {
            again_.cancel();
            id_ = random_id();
            connection().open(options());
        } catch (const Error& e) {
            finish(Result::unknown(e.what(), e.number()));
        }
    }

    // For the end of a sentence.
    std::string why_tcp() {
        return over_tcp() && !tcp_ ? " (asked again over TCP, as the answer over UDP was truncated)" : "";
    }
    void closed(int32_t why) override {
        again_.cancel();
        Result result = why == 0 ? Result::fail("connection closed before an answer") : ended(why);
        if (why == -ETIMEDOUT && sent_ > 0)
            result.detail = "no answer" + (over_tcp() ? " over TCP"
                                                      : " to " + std::to_string(sent_) +
                                                            (sent_ == 1 ? " query" : " queries"));
        if (why == -ECONNREFUSED && !over_tcp())
            result.detail = "nothing listens on the UDP port (ICMP port unreachable)";
        result.detail += why_tcp();
        if (foreign_ > 0 && !over_tcp())
            result.detail += "; " + std::to_string(foreign_) +
                             (foreign_ == 1 ? " packet was" : " packets were") +
                             " not heeded: " + foreign_words_;
        done(result);
    }
    void finish(const Result& result) {
        again_.cancel();
        done(result);
    }

    const std::shared_ptr<const Question> question_;
    const bool tcp_;
    const uint8_t tries_;
    uint8_t sent_ = 0;  // queries, over the present transport
    uint16_t id_ = 0;
    uint32_t foreign_ = 0;  // datagrams that were no answer to this query
    std::string foreign_words_;
    uint64_t begun_ = 0, deadline_ = 0;
    Timer again_;

  public:
    using Instance = Questions;
};

}  // namespace

GORB_PULSE(DnsPulse)
