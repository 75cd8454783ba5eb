#include "rest/conn_session.h"

#include <utility>

#include "base/check.h"
#include "rest/error.h"

namespace gorb::rest {

Session::Session(const Limits& limits, std::string peer, SessionHost& host)
    : reader_(limits), host_(host), peer_(std::move(peer)) {}

void Session::feed(std::string_view in) {
    if (ended_) {
        unread_ = true;
    } else if (waiting_ || running_ || !output_.room()) {
        pending_.append(in);
    } else {
        pending_.append(in.substr(run(in)));
        settle();
    }
}

size_t Session::run(const std::string_view all) {
    std::string_view in = all;
    running_ = true;
    while (!in.empty() && !ended_ && !waiting_ && output_.room()) {
        const auto step = reader_.take(in);
        if (step == RequestReader::Step::proceed) {
            output_.add_continue();
        } else if (step == RequestReader::Step::refused) {
            end_with(error_response(reader_.status(), reader_.why()), reader_.head_only());
        } else if (step == RequestReader::Step::whole) {
            ++requests_;
            form_ = {
                .close = !reader_.keep_alive(), .http10 = reader_.http10(), .head_only = reader_.head_only()};
            auto request = reader_.request();
            request->peer = peer_;
            waiting_ = true;
            host_.dispatch(std::move(request));
        }
    }
    if (ended_) {
        unread_ = unread_ || !in.empty();
        in = {};
    }
    running_ = false;
    return all.size() - in.size();
}

void Session::run_pending() {
    if (running_ || waiting_ || ended_ || pending_.empty() || !output_.room()) return;
    // What comes meanwhile goes behind the rest of these.
    Pending bytes = std::exchange(pending_, {});
    bytes.drop(run(bytes.view()));
    bytes.append(pending_.view());
    pending_ = std::move(bytes);
}

// The client sends no more and all it asked is answered: nothing can follow.
void Session::settle() {
    if (eof_ && !waiting_ && !running_ && pending_.empty()) ended_ = true;
}

void Session::eof() {
    eof_ = true;
    settle();
}

void Session::answer(Response response) {
    GORB_CHECK(waiting_);
    waiting_ = false;
    form_.close = form_.close || last_;
    output_.add(std::move(response), form_);
    after_answer();
}

void Session::answered(Output rest) {
    GORB_CHECK(waiting_ && output_.empty());
    waiting_ = false;
    form_.close = form_.close || last_;
    output_ = std::move(rest);
    after_answer();
}

void Session::after_answer() {
    if (form_.close) {
        ended_ = true;
        unread_ = unread_ || !pending_.empty();
    }
    if (running_) return;  // run() goes on by itself
    run_pending();
    settle();
}

void Session::resume() {
    run_pending();
    settle();
}

void Session::refuse(int status, std::string_view why, int retry_after_s) {
    GORB_CHECK(!waiting_);
    reader_.abandon();
    Response response = error_response(status, why);
    if (retry_after_s > 0) response.headers.emplace_back("Retry-After", std::to_string(retry_after_s));
    end_with(std::move(response), false);
}

void Session::end_with(Response response, bool head_only) {
    output_.add(std::move(response), {.close = true, .head_only = head_only});
    ended_ = unread_ = true;
}

void Session::finish() {
    last_ = true;
    if (!waiting_ && !reader_.started() && pending_.empty()) ended_ = true;
}

}  // namespace gorb::rest
