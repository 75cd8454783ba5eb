#include <Poco/JSON/Object.h>
#include <Poco/JSON/Parser.h>
#include <Poco/Net/HTTPRequestHandler.h>
#include <Poco/Net/HTTPRequestHandlerFactory.h>
#include <Poco/Net/HTTPServer.h>
#include <Poco/Net/HTTPServerRequest.h>
#include <Poco/Net/HTTPServerResponse.h>
#include <Poco/ThreadPool.h>

#include <mutex>

#include "servers.h"

namespace gorb::bench {
namespace {

using Poco::JSON::Array;
using Poco::JSON::Object;

// What a service of its own would keep; here with whatever members gorb's answer has.
struct Table {
    std::mutex mutex;
    Object::Ptr backend;
    int many = 0;
};

// An object for an answer is built member by member from the record, as from a struct's fields.
Object::Ptr built(const Object& record) {
    Object::Ptr out = new Object;
    for (const auto& [name, value] : record) {
        if (value.type() == typeid(Object::Ptr)) {
            out->set(name, built(*value.extract<Object::Ptr>()));
        } else if (value.type() == typeid(Array::Ptr)) {
            Array::Ptr copy = new Array;
            for (const auto& each : *value.extract<Array::Ptr>()) copy->add(each);
            out->set(name, copy);
        } else {
            out->set(name, value);
        }
    }
    return out;
}

class Handler : public Poco::Net::HTTPRequestHandler {
  public:
    explicit Handler(Table& table) : table_(table) {}

    void handleRequest(Poco::Net::HTTPServerRequest& request,
                       Poco::Net::HTTPServerResponse& response) override {
        Object::Ptr answer;
        if (request.getURI() == "/service/many?expand=backends") {
            Array::Ptr list = new Array;
            std::lock_guard lock(table_.mutex);
            for (int i = 0; i < table_.many; ++i) list->add(built(*table_.backend));
            answer = new Object;
            answer->set("backends", list);
        } else if (request.getURI() != "/service/one/b") {
            response.setStatusAndReason(Poco::Net::HTTPResponse::HTTP_NOT_FOUND);
            answer = new Object;
        } else {
            if (request.getMethod() == "PATCH") {
                Poco::JSON::Parser parser;
                auto patch = parser.parse(request.stream()).extract<Object::Ptr>();
                std::lock_guard lock(table_.mutex);
                auto options = table_.backend->getObject("options");
                options->set("weight", patch->getValue<int>("weight"));
            }
            std::lock_guard lock(table_.mutex);
            answer = built(*table_.backend);
        }
        std::ostringstream text;
        answer->stringify(text);
        const std::string body = text.str();
        response.setContentType("application/json");
        response.setContentLength64(static_cast<Poco::Int64>(body.size()));
        response.send() << body;
    }

  private:
    Table& table_;
};

class Factory : public Poco::Net::HTTPRequestHandlerFactory {
  public:
    explicit Factory(Table& table) : table_(table) {}
    Poco::Net::HTTPRequestHandler* createRequestHandler(const Poco::Net::HTTPServerRequest&) override {
        return new Handler(table_);
    }

  private:
    Table& table_;
};

}  // namespace

void serve_poco(const std::string& backend, int many, int threads, const Ready& ready, const Stop& stop) {
    Table table;
    Poco::JSON::Parser parser;
    table.backend = parser.parse(backend).extract<Object::Ptr>();
    table.many = many;
    Poco::ThreadPool pool(2, threads);
    Poco::Net::ServerSocket socket(Poco::Net::SocketAddress("127.0.0.1", 0), 1024);
    Poco::Net::HTTPServer server(new Factory(table), pool, socket, new Poco::Net::HTTPServerParams);
    server.start();
    ready(socket.address().port());
    stop();
    server.stopAll(true);
    pool.stopAll();
}

}  // namespace gorb::bench
