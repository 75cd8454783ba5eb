#include "rest/conn_writer.h"

#include <Poco/DateTimeFormat.h>
#include <Poco/DateTimeFormatter.h>
#include <Poco/Net/HTTPResponse.h>
#include <Poco/Timestamp.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <utility>

#include "base/give_back.h"

namespace gorb::rest {
namespace {

void append_number(std::string& out, size_t number) {
    std::array<char, 24> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    out.append(digits.data(), end);
}

// A value can hold what a client sent: no control character may end the line early.
void append_field(std::string& out, std::string_view name, std::string_view value) {
    out += name;
    out += ": ";
    const size_t begin = out.size();
    out += value;
    std::replace_if(
        out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(),
        [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, ' ');
    out += "\r\n";
}

// RFC 9110, 6.6.1: whoever has a clock says when. Made once a second.
const std::string& date() {
    thread_local time_t made = -1;
    thread_local std::string text;
    const time_t now = std::time(nullptr);
    if (now != made) {
        made = now;
        text = Poco::DateTimeFormatter::format(Poco::Timestamp::fromEpochTime(now),
                                               Poco::DateTimeFormat::HTTP_FORMAT);
    }
    return text;
}

bool has_body(int status) {
    return status >= 200 && status != 204 && status != 304;
}

void append_head(std::string& out, const Response& response, AnswerForm form) {
    out += "HTTP/1.1 ";
    append_number(out, static_cast<size_t>(response.status));
    out += ' ';
    out += Poco::Net::HTTPResponse::getReasonForStatus(
        static_cast<Poco::Net::HTTPResponse::HTTPStatus>(response.status));
    out += "\r\n";
    out += "Date: ";
    out += date();
    out += "\r\n";
    if (has_body(response.status)) {
        if (!response.body.empty()) append_field(out, "Content-Type", response.content_type);
        out += "Content-Length: ";
        append_number(out, response.body.size());
        out += "\r\n";
    }
    if (!response.etag.empty()) append_field(out, "ETag", '"' + response.etag + '"');
    for (const auto& [name, value] : response.headers) append_field(out, name, value);
    if (form.close) {
        out += "Connection: close\r\n";
    } else if (form.http10) {
        out += "Connection: keep-alive\r\n";
    }
    out += "\r\n";
}

}  // namespace

void Output::add(Response&& response, AnswerForm form) {
    append_head(text_, response, form);
    if (form.head_only || !has_body(response.status)) return;
    if (response.body.size() > small_body) {
        body_ = std::move(response.body);
    } else {
        text_ += response.body;
    }
}

void Output::add_continue() {
    text_ += "HTTP/1.1 100 Continue\r\n\r\n";
}

ssize_t Output::send(int fd) {
    std::array<iovec, 2> next;
    msghdr message{};
    message.msg_iov = next.data();
    message.msg_iovlen = static_cast<size_t>(parts(next));
    const ssize_t size = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (size > 0) sent(static_cast<size_t>(size));
    return size;
}

int Output::parts(std::array<iovec, 2>& out) const {
    int count = 0;
    const auto part = [&](const std::string& of, size_t from) {
        if (from < of.size()) out[count++] = {const_cast<char*>(of.data()) + from, of.size() - from};
    };
    part(text_, sent_);
    part(body_, std::max(sent_, text_.size()) - text_.size());
    return count;
}

void Output::sent(size_t bytes) {
    sent_ += bytes;
    if (!empty()) return;
    sent_ = 0;
    text_.clear();
    if (!body_.empty()) base::give_back(body_);
    if (text_.capacity() > max_text) base::give_back(text_);
}

}  // namespace gorb::rest
