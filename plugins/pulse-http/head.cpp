#include "head.h"

#include <algorithm>
#include <boost/beast/http/rfc7230.hpp>

#include "headers.h"
#include "words.h"

namespace pulse_http {

namespace {

namespace http = boost::beast::http;

struct Field {
    std::string_view lines, name, value;
};

// Takes the first field off, with the lines that go on with it.
Field next_field(std::string_view& lines) {
    size_t end = 0;
    do {
        const size_t at = lines.find('\n', end);
        end = at == std::string_view::npos ? lines.size() : at + 1;
    } while (end < lines.size() && (lines[end] == ' ' || lines[end] == '\t'));
    Field field;
    field.lines = lines.substr(0, end);
    field.name = field_name(field.lines);
    std::string_view value = field.lines.substr(std::min(field.name.size() + 1, end));
    while (value.ends_with('\n') || value.ends_with('\r')) value.remove_suffix(1);
    field.value = trimmed(value);
    lines.remove_prefix(end);
    return field;
}

bool token_list(std::string_view value) {
    return http::validate_list(http::opt_token_list{{value.data(), value.size()}});
}

// What the parser refuses in whatever field it stands.
bool control(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

// But for the line ends of a value of several lines.
bool has_control(std::string_view value) {
    for (size_t i = 0; i < value.size(); ++i) {
        if (value.substr(i, 2) == "\r\n")
            ++i;
        else if (control(value[i]))
            return true;
    }
    return false;
}

bool unread_connection(const Field& field) {
    return (same_name(field.name, "connection") || same_name(field.name, "proxy-connection")) &&
           !has_control(field.value) && !token_list(field.value);
}

bool identity(const Field& field) {
    return same_name(field.name, "transfer-encoding") && same_name(field.value, "identity");
}

}  // namespace

std::string_view field_name(std::string_view line) {
    const std::string_view name = line.substr(0, std::min(line.find(':'), line.size()));
    return name.size() < line.size() && std::none_of(name.begin(), name.end(), control) ? name
                                                                                        : std::string_view();
}

Fields for_parser(std::string_view lines,
                  const std::function<void(std::string_view name, std::string_view value)>& see) {
    bool encoded = false, sized = false, odd = false;
    for (std::string_view rest = lines; !rest.empty();) {
        const Field field = next_field(rest);
        sized = sized || same_name(field.name, "content-length");
        encoded = encoded || (same_name(field.name, "transfer-encoding") && !identity(field));
        odd = odd || identity(field) || unread_connection(field);
    }
    if (!odd && !(encoded && sized)) return {};
    Fields fields{std::string(), false};
    for (std::string_view rest = lines; !rest.empty();) {
        const Field field = next_field(rest);
        const bool overridden =
            encoded && same_name(field.name, "content-length") && !has_control(field.value);
        const bool doubtful = overridden || unread_connection(field);
        fields.close = fields.close || doubtful;
        if (doubtful || identity(field))
            see(field.name, field.value);
        else
            fields.text->append(field.lines);
    }
    return fields;
}

}  // namespace pulse_http
