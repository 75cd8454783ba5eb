// The REST server's conversation with a client: whatever the bytes and however they are cut, nothing breaks,
// and the client is told the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "rest/conn_session.h"

namespace {

using namespace gorb::rest;

// Answers with all that it was asked, at once or, for every second request, after the bytes have gone in.
class Echo final : public SessionHost {
  public:
    explicit Echo(const Limits& limits) : session_(limits, "peer", *this) {}

    void dispatch(std::shared_ptr<const Request> request) override {
        Response response;
        response.body = request->method + '\n' + request->path + '\n' + request->query + '\n' +
                        request->if_match + '\n' + request->content_type + '\n' + request->body;
        if (request->body.size() > 20) response.body.resize(100'000, 'x');  // one that goes out by itself
        if (session_.requests() % 2 == 0) {
            later_ = std::move(response);
        } else {
            session_.answer(std::move(response));
        }
    }
    void feed(std::string_view bytes) {
        session_.feed(bytes);
        work();
    }
    void eof() {
        session_.eof();
        work();
    }
    const std::string& told() const { return told_; }
    bool ended() const { return session_.ended(); }

  private:
    void work() {
        for (bool more = true; more;) {
            more = session_.waiting();
            if (more) session_.answer(std::exchange(later_, {}));
            while (!session_.output().empty()) {
                std::array<iovec, 2> parts;
                const int count = session_.output().parts(parts);
                // As much as a socket might take: not always all.
                const size_t take = std::min<size_t>(parts[0].iov_len, 5000);
                if (count == 0 || take == 0) std::abort();
                told_.append(static_cast<const char*>(parts[0].iov_base), take);
                session_.output().sent(take);
                more = true;
            }
            session_.resume();
        }
    }

    Session session_;
    Response later_;
    std::string told_;
};

// Without what depends on the second in which it was said.
std::string timeless(std::string text) {
    constexpr size_t line = std::string_view("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n").size();
    for (size_t at = 0; (at = text.find("Date: ", at)) != std::string::npos;) text.erase(at, line);
    return text;
}

std::string told(const Limits& limits, std::string_view bytes, size_t piece) {
    Echo echo(limits);
    while (!bytes.empty()) {
        echo.feed(bytes.substr(0, piece));
        bytes.remove_prefix(std::min(piece, bytes.size()));
    }
    echo.eof();
    if (!echo.ended()) std::abort();
    return timeless(echo.told());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    Limits limits;
    limits.header_bytes = 400;
    limits.line_bytes = 150;
    limits.body_bytes = 60;
    const size_t piece = 1 + data[0] % 32U;
    const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
    const std::string whole = told(limits, bytes, SIZE_MAX);
    if (told(limits, bytes, piece) != whole || told(limits, bytes, 1) != whole) std::abort();
    return 0;
}
