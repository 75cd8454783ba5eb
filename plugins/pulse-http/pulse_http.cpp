// Pulse "http": asks for a path over plain HTTP/1.1 and judges the status of the reply. The verdict stands
// with the end of the headers; the body is not waited for.
#include <gorb/plugin.hpp>
#include <optional>

#include "expect.h"
#include "reply.h"
#include "request.h"

namespace {

using namespace gorb::sdk;
using pulse_http::Expectation;
using pulse_http::ReplyReader;
using pulse_http::Request;

class HttpPulse final : public ConnectionPulse {
  public:
    static constexpr const char *name = "http", *version = GORB_VERSION,
                                *summary = "asks for a path over HTTP";
    static constexpr gorb_option args[] = {
        {"method", GORB_TEXT, 0, "GET", "GET|HEAD|OPTIONS|POST|PUT|PATCH|DELETE", "the request's method"},
        {"path", GORB_TEXT, 0, "/", nullptr, "what to ask for, beginning with /; a query may follow"},
        {"port", GORB_INT, 0, nullptr, "1..65535", "port to connect to, if not the backend's own"},
        {"host", GORB_TEXT, 0, nullptr, nullptr, "the Host header; the backend's name or address if not set"},
        {"expect", GORB_TEXT, 0, "200", nullptr,
         "status codes that pass: \"200\", \"200-399\", \"200,204,300-302\""},
    };

    static void check(const Config& config) {
        const auto method = config.text("method").value_or("GET");
        Request::check_method(method);
        Request::check_path(config.text("path").value_or("/"), method);
        if (const auto host = config.text("host")) Request::check_host(*host);
        Expectation::parse(config.text("expect").value_or("200"));
    }

    HttpPulse(const Host& host, const Target& target)
        : ConnectionPulse(host, target, GORB_TCP, target.args().integer("port").value_or(0)),
          expected_(Expectation::parse(target.args().text("expect").value_or("200"))) {
        const Config config = target.args();
        check(config);
        Request request;
        request.method = config.text("method").value_or("GET");
        request.path = config.text("path").value_or("/");
        request.agent = "gorb/" GORB_VERSION;
        const auto given = config.text("host");
        request.host = given ? std::string(*given) : pulse_http::default_host(target.host_name(), peer());
        Request::check_host(request.host);  // the backend's name is no more trusted than an argument
        request_ = request.text();
    }

    void start(const Run& run) {
        reply_.reset();
        ConnectionPulse::start(run);
    }

  private:
    void opened() override {
        reply_.emplace();
        const int32_t rc = send(request_);
        if (rc != 0) done(ended(rc));
    }
    size_t received(std::string_view bytes) override {
        const size_t used = reply_->feed(bytes);
        if (reply_->state() == ReplyReader::State::bad) done(Result::fail(reply_->problem()));
        if (reply_->state() == ReplyReader::State::done) {
            auto [pass, words] = pulse_http::judge(reply_->status(), reply_->location(), expected_);
            done(pass ? Result::pass(std::move(words), reply_->status())
                      : Result::fail(std::move(words), reply_->status()));
        }
        return used;
    }
    void closed(int32_t why) override {
        const bool opened = reply_.has_value(), begun = opened && reply_->begun();
        reply_.reset();
        if (why != 0 && !opened) return done(ended(why));
        if (why != 0) {
            Result result = ended(why);
            result.detail += begun ? ", in the middle of a reply" : ", before a reply";
            return done(result);
        }
        done(Result::fail(begun ? "connection closed in the middle of a reply"
                                : "connection closed before a reply"));
    }

    const Expectation expected_;
    std::string request_;
    std::optional<ReplyReader> reply_;  // of the run that is open, once it is connected
};

}  // namespace

GORB_PULSE(HttpPulse)
