// A storage server for benchmarks: it answers the calls that file systems make in the shape of
// Azure Blob Storage and is never the limit. It keeps names and sizes, drops what it is sent and
// serves bytes of a fixed pattern. It checks no credential: loopback only, never anything but a
// benchmark.
//
//   blob-server [--tls CERT.pem KEY.pem]     prints its port, then serves until it is killed
//
// Paths are /ACCOUNT/CONTAINER/NAME. /-/stats tells and /-/reset forgets what was counted,
// /-/fill?prefix=P&count=N&size=B&per=M makes N blobs of B bytes, M in a directory.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace {

constexpr size_t kPatternBytes = 16u << 20;
constexpr size_t kReadBytes = 1u << 20;
constexpr size_t kMaxHead = 64u << 10;
constexpr size_t kMaxPage = 5000;
constexpr size_t kSmallBody = 64u << 10;

struct Blob {
  uint64_t size = 0;
  uint64_t etag = 0;
};

struct Counters {
  std::map<std::string, uint64_t> verbs;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
};

std::string g_pattern;
std::string g_date = "Mon, 01 Jan 2024 00:00:00 GMT";
std::map<std::string, Blob> g_blobs;  // By container and name.
std::unordered_map<std::string, std::unordered_map<std::string, uint64_t>> g_staged;
std::unordered_map<std::string, std::shared_ptr<std::string>> g_pages;  // By query; until a change.
Counters g_counters;
uint64_t g_etag = 0x8DC0000000000000ull;
SSL_CTX* g_tls = nullptr;

struct Request {
  std::string method, path, range;
  std::map<std::string, std::string> query;
  uint64_t length = 0;
};

struct Connection {
  int fd = -1;
  SSL* ssl = nullptr;
  std::string head;
  bool in_body = false;
  bool keep_body = false;  // Block lists and batches are read, all else is dropped.
  uint64_t body_left = 0;
  std::string body;
  Request request;
  std::string out;
  size_t out_at = 0;
  std::shared_ptr<std::string> page;
  size_t page_at = 0;
  uint64_t data_at = 0, data_left = 0;
  bool wants_write = false;
};

std::string Decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); i++) {
    if (text[i] == '%' && i + 2 < text.size()) {
      out += static_cast<char>(strtol(std::string(text.substr(i + 1, 2)).c_str(), nullptr, 16));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

std::string Escape(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else {
      out += c;
    }
  }
  return out;
}

void ParseTarget(std::string_view target, Request* request) {
  size_t mark = target.find('?');
  std::string_view path = target.substr(0, mark);
  // The account is left out of names: there is one.
  size_t slash = path.find('/', 1);
  bool control = path.substr(0, 3) == "/-/";
  request->path = Decode(control                           ? path
                         : slash == std::string_view::npos ? ""
                                                           : path.substr(slash + 1));
  if (mark == std::string_view::npos) return;
  std::string_view query = target.substr(mark + 1);
  while (!query.empty()) {
    size_t end = std::min(query.find('&'), query.size());
    std::string_view pair = query.substr(0, end);
    size_t equals = std::min(pair.find('='), pair.size());
    std::string_view value = equals < pair.size() ? pair.substr(equals + 1) : "";
    request->query[Decode(pair.substr(0, equals))] = Decode(value);
    query.remove_prefix(std::min(end + 1, query.size()));
  }
}

bool ParseHead(std::string_view head, Request* request) {
  size_t line_end = head.find("\r\n");
  std::string_view line = head.substr(0, line_end);
  size_t first = line.find(' '), last = line.rfind(' ');
  if (first == std::string_view::npos || last <= first) return false;
  request->method = std::string(line.substr(0, first));
  ParseTarget(line.substr(first + 1, last - first - 1), request);
  size_t at = line_end + 2;
  while (at < head.size()) {
    size_t end = std::min(head.find("\r\n", at), head.size());
    std::string_view header = head.substr(at, end - at);
    size_t colon = header.find(':');
    if (colon == std::string_view::npos) break;
    std::string name(header.substr(0, colon));
    size_t start = header.find_first_not_of(' ', colon + 1);
    std::string value(start == std::string_view::npos ? "" : header.substr(start));
    if (strcasecmp(name.c_str(), "content-length") == 0)
      request->length = strtoull(value.c_str(), nullptr, 10);
    if (strcasecmp(name.c_str(), "x-ms-range") == 0 || strcasecmp(name.c_str(), "range") == 0)
      request->range = value;
    at = end + 2;
  }
  return true;
}

// Each answer has an id of its own, as the service's have: a client may remember what does not change.
std::string Common() {
  static uint32_t answers = 0;
  char id[37];
  snprintf(id, sizeof id, "%08x-001e-0000-0000-000000000000", ++answers);
  return std::string("Server: Windows-Azure-Blob/1.0\r\nx-ms-request-id: ") + id +
         "\r\nx-ms-version: 2025-01-05\r\nDate: " + g_date + "\r\n";
}

std::string EtagText(uint64_t etag) {
  char text[32];
  snprintf(text, sizeof text, "\"0x%llX\"", static_cast<unsigned long long>(etag));
  return text;
}

void Answer(Connection* c, const char* status, const std::string& headers,
            const std::string& body = "") {
  bool head = c->request.method == "HEAD";
  c->out += std::string("HTTP/1.1 ") + status + "\r\n" + Common() + headers +
            "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + (head ? "" : body);
}

void AnswerError(Connection* c, const char* status, const std::string& code) {
  std::string body = "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>" + code +
                     "</Code><Message>" + code + "</Message></Error>";
  Answer(c, status, "Content-Type: application/xml\r\nx-ms-error-code: " + code + "\r\n", body);
}

std::string BlobHeaders(const Blob& blob) {
  return "Content-Type: application/octet-stream\r\nETag: " + EtagText(blob.etag) +
         "\r\nLast-Modified: " + g_date + "\r\nx-ms-creation-time: " + g_date +
         "\r\nx-ms-blob-type: BlockBlob\r\nAccept-Ranges: bytes\r\n";
}

/** Parses bytes=FIRST-[LAST] within `size`; false when it starts past the end. */
bool ParseRange(const std::string& range, uint64_t size, uint64_t* first, uint64_t* last) {
  char* end = nullptr;
  *first = strtoull(range.c_str() + 6, &end, 10);
  *last = end[1] == '\0' ? size - 1 : std::min<uint64_t>(strtoull(end + 1, nullptr, 10), size - 1);
  return *first < size;
}

void GetBlob(Connection* c, const Blob& blob) {
  const std::string& range = c->request.range;
  uint64_t first = 0, last = blob.size - 1;
  if (!range.empty() && !ParseRange(range, blob.size, &first, &last))
    return AnswerError(c, "416 The range is invalid", "InvalidRange");
  uint64_t length = blob.size == 0 ? 0 : last - first + 1;
  std::string headers = BlobHeaders(blob);
  if (!range.empty())
    headers += "Content-Range: bytes " + std::to_string(first) + "-" + std::to_string(last) + "/" +
               std::to_string(blob.size) + "\r\n";
  c->out += std::string("HTTP/1.1 ") + (range.empty() ? "200 OK" : "206 Partial Content") + "\r\n" +
            Common() + headers + "Content-Length: " + std::to_string(length) + "\r\n\r\n";
  if (c->request.method == "HEAD") return;
  size_t at = first % kPatternBytes;
  if (length <= kSmallBody && at + length <= kPatternBytes) {
    c->out.append(g_pattern, at, length);  // One packet for head and body.
    return;
  }
  c->data_at = first;
  c->data_left = length;
}

std::string EntryXml(const std::string& name, const Blob& blob) {
  return "<Blob><Name>" + Escape(name) + "</Name><Properties><Creation-Time>" + g_date +
         "</Creation-Time><Last-Modified>" + g_date + "</Last-Modified><Etag>" +
         EtagText(blob.etag).substr(1, 18) + "</Etag><Content-Length>" + std::to_string(blob.size) +
         "</Content-Length><Content-Type>application/octet-stream</Content-Type><Content-Encoding "
         "/><Content-Language /><Content-CRC64 /><Content-MD5 /><Cache-Control "
         "/><Content-Disposition /><BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier>"
         "<AccessTierInferred>true</AccessTierInferred><LeaseStatus>unlocked</LeaseStatus>"
         "<LeaseState>available</LeaseState><ServerEncrypted>true</ServerEncrypted></Properties>"
         "<OrMetadata /></Blob>";
}

std::string ListPage(const std::string& container, std::map<std::string, std::string>& query) {
  std::string root = container + "/";
  std::string prefix = root + query["prefix"], delimiter = query["delimiter"];
  size_t limit = query.count("maxresults") ? std::stoul(query["maxresults"]) : kMaxPage;
  limit = std::min(limit, kMaxPage);
  std::string from = query["marker"].empty() ? query["startFrom"] : query["marker"];
  auto at = g_blobs.lower_bound(std::max(prefix, root + from));
  std::string xml =
      "<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults "
      "ServiceEndpoint=\"http://bench/\" ContainerName=\"" +
      container + "\"><Blobs>";
  std::string end = query["endBefore"], marker;
  for (size_t count = 0; at != g_blobs.end() && at->first.starts_with(prefix); count++) {
    std::string name = at->first.substr(root.size());
    if (!end.empty() && name >= end) break;
    if (count == limit) {
      marker = name;
      break;
    }
    size_t cut = delimiter.empty() ? std::string::npos : at->first.find(delimiter, prefix.size());
    if (cut == std::string::npos) {
      xml += EntryXml(name, at->second);
      ++at;
      continue;
    }
    std::string group = at->first.substr(0, cut + 1);
    xml += "<BlobPrefix><Name>" + Escape(group.substr(root.size())) + "</Name></BlobPrefix>";
    group.back()++;
    at = g_blobs.lower_bound(group);
  }
  return xml + "</Blobs><NextMarker>" + Escape(marker) + "</NextMarker></EnumerationResults>";
}

void List(Connection* c, const std::string& container) {
  std::string key = container;
  for (auto& [name, value] : c->request.query)
    if (name.size() < 3 || name == "prefix" || name == "marker" || name == "delimiter" ||
        name == "maxresults" || name == "startFrom" || name == "endBefore")
      key += "\n" + name + "=" + value;
  auto& page = g_pages[key];
  if (!page) page = std::make_shared<std::string>(ListPage(container, c->request.query));
  c->out += "HTTP/1.1 200 OK\r\n" + Common() +
            "Content-Type: application/xml\r\nContent-Length: " + std::to_string(page->size()) +
            "\r\n\r\n";
  c->page = page;
  c->page_at = 0;
}

void Commit(Connection* c, uint64_t size) {
  Blob& blob = g_blobs[c->request.path];
  blob.size = size;
  blob.etag = ++g_etag;
  g_pages.clear();
  Answer(c, "201 Created",
         "ETag: " + EtagText(blob.etag) + "\r\nLast-Modified: " + g_date +
             "\r\nx-ms-request-server-encrypted: true\r\n");
}

void PutBlockList(Connection* c) {
  auto& staged = g_staged[c->request.path];
  uint64_t size = 0;
  for (size_t at = 0; (at = c->body.find("<Latest>", at)) != std::string::npos;) {
    at += 8;
    auto found = staged.find(c->body.substr(at, c->body.find('<', at) - at));
    if (found == staged.end())
      return AnswerError(c, "400 The block list is invalid", "InvalidBlockList");
    size += found->second;
  }
  g_staged.erase(c->request.path);
  Commit(c, size);
}

void Put(Connection* c) {
  std::map<std::string, std::string>& query = c->request.query;
  if (query["restype"] == "container") return Answer(c, "201 Created", "");
  if (query["comp"] == "block") {
    g_staged[c->request.path][query["blockid"]] = c->request.length;
    return Answer(c, "201 Created", "x-ms-request-server-encrypted: true\r\n");
  }
  if (query["comp"] == "blocklist") return PutBlockList(c);
  if (query["comp"] != "") return Answer(c, "200 OK", "ETag: " + EtagText(++g_etag) + "\r\n");
  Commit(c, c->request.length);
}

/** Deletes what each part of a batch names, whatever its conditions. */
void Batch(Connection* c) {
  std::string body;
  int id = 0;
  for (size_t at = 0; (at = c->body.find("\r\nDELETE ", at)) != std::string::npos; id++) {
    at += strlen("\r\nDELETE ");
    Request part;
    ParseTarget(std::string_view(c->body).substr(at, c->body.find(' ', at) - at), &part);
    bool found = g_blobs.erase(part.path) > 0;
    body += "--answers\r\nContent-Type: application/http\r\nContent-ID: " + std::to_string(id) +
            "\r\n\r\nHTTP/1.1 " + (found ? "202 Accepted" : "404 Not Found") + "\r\n" + Common() +
            "\r\n";
  }
  g_pages.clear();
  Answer(c, "202 Accepted", "Content-Type: multipart/mixed; boundary=answers\r\n",
         body + "--answers--\r\n");
}

void Fill(std::map<std::string, std::string>& query) {
  uint64_t count = std::stoull(query["count"]), per = std::stoull(query["per"]);
  for (uint64_t i = 0; i < count; i++) {
    char name[64];
    snprintf(name, sizeof name, "directory-%06llu/file-%08llu",
             static_cast<unsigned long long>(i / per), static_cast<unsigned long long>(i));
    g_blobs[query["prefix"] + name] = Blob{std::stoull(query["size"]), ++g_etag};
  }
  g_pages.clear();
}

std::string StatsJson() {
  std::string json = "{\"requests\":{";
  for (auto& [verb, count] : g_counters.verbs)
    json += (json.back() == '{' ? "\"" : ",\"") + verb + "\":" + std::to_string(count);
  return json + "},\"bytesIn\":" + std::to_string(g_counters.bytes_in) +
         ",\"bytesOut\":" + std::to_string(g_counters.bytes_out) + "}";
}

void Control(Connection* c) {
  if (c->request.path == "/-/fill") Fill(c->request.query);
  std::string body = StatsJson();
  if (c->request.path == "/-/reset") g_counters = Counters();
  Answer(c, "200 OK", "Content-Type: application/json\r\n", body);
}

std::string Verb(Request& request) {
  std::string comp = request.query["comp"];
  return request.method + (comp.empty() ? "" : " " + comp);
}

void Respond(Connection* c) {
  Request& request = c->request;
  if (request.path.starts_with("/-/")) return Control(c);
  g_counters.verbs[Verb(request)]++;
  if (request.query["restype"] == "account")
    return Answer(c, "200 OK",
                  "x-ms-is-hns-enabled: false\r\nx-ms-account-kind: StorageV2\r\n"
                  "x-ms-sku-name: Standard_LRS\r\n");
  if (request.method == "PUT") return Put(c);
  if (request.query["comp"] == "batch") return Batch(c);
  if (request.query["comp"] == "list") return List(c, request.path);
  auto found = g_blobs.find(request.path);
  if (request.query["restype"] == "container") return Answer(c, "200 OK", "ETag: \"0x1\"\r\n");
  if (found == g_blobs.end())
    return AnswerError(c, "404 The specified blob does not exist.", "BlobNotFound");
  if (request.method == "DELETE") {
    g_blobs.erase(found);
    g_pages.clear();
    return Answer(c, "202 Accepted", "");
  }
  GetBlob(c, found->second);
}

ssize_t SendSome(Connection* c, const char* data, size_t length) {
  if (c->ssl == nullptr) return send(c->fd, data, length, MSG_NOSIGNAL);
  ERR_clear_error();
  int sent = SSL_write(c->ssl, data, static_cast<int>(std::min<size_t>(length, 1 << 20)));
  if (sent > 0) return sent;
  int reason = SSL_get_error(c->ssl, sent);
  errno = reason == SSL_ERROR_WANT_WRITE || reason == SSL_ERROR_WANT_READ ? EAGAIN : EIO;
  return -1;
}

ssize_t ReceiveSome(Connection* c, char* data, size_t length) {
  if (c->ssl == nullptr) return recv(c->fd, data, length, 0);
  ERR_clear_error();
  int got = SSL_read(c->ssl, data, static_cast<int>(length));
  if (got > 0) return got;
  int reason = SSL_get_error(c->ssl, got);
  if (reason == SSL_ERROR_ZERO_RETURN) return 0;
  errno = reason == SSL_ERROR_WANT_READ || reason == SSL_ERROR_WANT_WRITE ? EAGAIN : EIO;
  return -1;
}

bool Unsent(const Connection* c) {
  return c->out_at < c->out.size() || c->page != nullptr || c->data_left > 0;
}

/** Sends what there is; false when the connection is to be closed. */
bool Flush(Connection* c) {
  while (Unsent(c)) {
    const char* data;
    size_t length;
    if (c->out_at < c->out.size()) {
      data = c->out.data() + c->out_at;
      length = c->out.size() - c->out_at;
    } else if (c->page != nullptr) {
      data = c->page->data() + c->page_at;
      length = c->page->size() - c->page_at;
    } else {
      size_t at = c->data_at % kPatternBytes;
      data = g_pattern.data() + at;
      length = std::min<uint64_t>(kPatternBytes - at, c->data_left);
    }
    ssize_t sent = length == 0 ? 0 : SendSome(c, data, length);
    if (sent < 0) return errno == EAGAIN;
    g_counters.bytes_out += sent;
    if (c->out_at < c->out.size()) {
      c->out_at += sent;
    } else if (c->page != nullptr) {
      c->page_at += sent;
      if (c->page_at == c->page->size()) c->page = nullptr;
    } else {
      c->data_at += sent;
      c->data_left -= sent;
    }
  }
  c->out.clear();
  c->out_at = 0;
  return true;
}

/** Takes `length` bytes that arrived; answers a request when it is whole. */
bool Consume(Connection* c, const char* data, size_t length) {
  g_counters.bytes_in += length;
  while (length > 0) {
    if (!c->in_body) {
      size_t before = c->head.size();
      c->head.append(data, length);
      size_t end = c->head.find("\r\n\r\n", before < 3 ? 0 : before - 3);
      if (end == std::string::npos) return c->head.size() < kMaxHead;
      size_t used = end + 4 - before;
      data += used;
      length -= used;
      c->request = Request();
      if (!ParseHead(std::string_view(c->head).substr(0, end + 2), &c->request)) return false;
      c->head.clear();
      c->in_body = true;
      c->body.clear();
      c->body_left = c->request.length;
      const std::string& comp = c->request.query["comp"];
      c->keep_body = comp == "blocklist" || comp == "batch";
    }
    size_t taken = std::min<uint64_t>(length, c->body_left);
    if (c->keep_body) c->body.append(data, taken);
    c->body_left -= taken;
    data += taken;
    length -= taken;
    if (c->body_left > 0) return true;
    c->in_body = false;
    Respond(c);
    if (!Flush(c)) return false;
  }
  // A request without a body whose head ended with what arrived.
  if (c->in_body && c->body_left == 0) {
    c->in_body = false;
    Respond(c);
    return Flush(c);
  }
  return true;
}

bool Readable(Connection* c, char* buffer) {
  // Level-triggered: a bounded number of reads a turn, so that no connection starves the others.
  for (int i = 0; i < 4; i++) {
    ssize_t got = ReceiveSome(c, buffer, kReadBytes);
    if (got == 0) return false;
    if (got < 0) return errno == EAGAIN;
    if (!Consume(c, buffer, got)) return false;
    if (Unsent(c)) return true;
    if (c->ssl == nullptr && got < static_cast<ssize_t>(kReadBytes)) return true;
  }
  return true;
}

void Watch(int epoll, Connection* c, int operation) {
  epoll_event event = {};
  // While an answer is under way nothing more is read: clients here never send ahead.
  event.events = Unsent(c) ? EPOLLOUT : EPOLLIN;
  event.data.ptr = c;
  epoll_ctl(epoll, operation, c->fd, &event);
}

void Accept(int epoll, int listener) {
  int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd < 0) return;
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  auto* c = new Connection();
  c->fd = fd;
  if (g_tls != nullptr) {
    c->ssl = SSL_new(g_tls);
    SSL_set_fd(c->ssl, fd);
    SSL_set_accept_state(c->ssl);
  }
  Watch(epoll, c, EPOLL_CTL_ADD);
}

void Close(Connection* c) {
  if (c->ssl != nullptr) SSL_free(c->ssl);
  close(c->fd);
  delete c;
}

void Serve(int listener) {
  int epoll = epoll_create1(EPOLL_CLOEXEC);
  epoll_event event = {};
  event.events = EPOLLIN;
  epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
  std::vector<char> buffer(kReadBytes);
  epoll_event ready[64];
  for (;;) {
    int count = epoll_wait(epoll, ready, 64, -1);
    for (int i = 0; i < count; i++) {
      auto* c = static_cast<Connection*>(ready[i].data.ptr);
      if (c == nullptr) {
        Accept(epoll, listener);
        continue;
      }
      bool alive = ready[i].events & EPOLLOUT ? Flush(c) : true;
      if (alive && !Unsent(c)) alive = Readable(c, buffer.data());
      if (alive) {
        Watch(epoll, c, EPOLL_CTL_MOD);
      } else {
        Close(c);
      }
    }
  }
}

SSL_CTX* OpenTls(const char* certificate, const char* key) {
  SSL_CTX* context = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (SSL_CTX_use_certificate_file(context, certificate, SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
    fprintf(stderr, "blob-server: cannot use %s with %s\n", certificate, key);
    exit(2);
  }
  return context;
}

int Listen() {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      listen(listener, 1024) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    perror("blob-server");
    exit(1);
  }
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  return listener;
}

}  // namespace

int main(int argc, char** argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc == 4 && strcmp(argv[1], "--tls") == 0) g_tls = OpenTls(argv[2], argv[3]);
  if (argc != 1 && g_tls == nullptr) {
    fprintf(stderr, "usage: blob-server [--tls CERT.pem KEY.pem]\n");
    return 2;
  }
  g_pattern.resize(kPatternBytes);
  uint64_t state = 88172645463325252ull;
  for (size_t i = 0; i < kPatternBytes; i += 8) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    memcpy(&g_pattern[i], &state, 8);
  }
  Serve(Listen());
}
