import Crypto
import HTTPTypes
import Hummingbird
import NIOCore

/// Responses as browsers should get them: guarded by headers, and not sent again when nothing changed.
enum PageResponses {
  /// Nothing runs or loads but what this server has sent as a file of its own.
  static let contentSecurityPolicy = """
    default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'
    """

  private static let guards: [(String, String)] = [
    ("Content-Security-Policy", contentSecurityPolicy),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
  ]

  /// A page, to be asked for anew each time, and answered with a 304 where it is the one that the browser has.
  struct Page: Sendable {
    private let bytes: [UInt8]
    private let tag: String

    init(_ html: String) {
      bytes = Array(html.utf8)
      tag = PageResponses.tag(of: bytes)
    }

    func response(to request: Request) -> Response {
      PageResponses.response(
        bytes, type: "text/html; charset=utf-8", cacheControl: "no-cache", tag: tag, for: request)
    }
  }

  /// A page that says what went wrong; never kept.
  static func errorPage(_ html: String, status: Int) -> Response {
    var headers = fields(type: "text/html; charset=utf-8", cacheControl: "no-store")
    headers[.contentLanguage] = "en"
    return Response(
      status: .init(code: status), headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(string: html)))
  }

  /// A page for the one who asks, who may be signed in: no cache keeps it.
  static func personal(
    _ html: String, _ problem: FormProblem? = nil, cookies: [String] = []
  ) -> Response {
    var headers = fields(type: "text/html; charset=utf-8", cacheControl: "no-store")
    makePersonal(&headers, cookies: cookies)
    var response = Response(
      status: .init(code: problem?.status ?? 200), headers: headers,
      body: ResponseBody(byteBuffer: ByteBuffer(string: html)))
    response.say(problem?.policy, retryAfter: problem?.retryAfter)
    return response
  }

  /// On to another page, with a GET. ``SessionGuard/redirect(to:cookies:)`` knows where the pages of this site are.
  static func redirect(to address: String, cookies: [String] = []) -> Response {
    var headers = fields(type: nil, cacheControl: "no-store")
    makePersonal(&headers, cookies: cookies)
    headers[.location] = address
    return Response(status: .seeOther, headers: headers)
  }

  /// What is to be saved as a file.
  static func download(as name: String, _ response: Response) -> Response {
    var response = response
    for (name, value) in guards {
      if let name = HTTPField.Name(name) { response.headers[name] = value }
    }
    makePersonal(&response.headers, cookies: [])
    response.headers[.contentDisposition] = "attachment; filename=\"\(name)\""
    return response
  }

  private static func makePersonal(_ headers: inout HTTPFields, cookies: [String]) {
    headers[.vary] = "Cookie"
    // With `no-referrer` browsers would not say of a form where it comes from.
    if let name = HTTPField.Name("Referrer-Policy") { headers[name] = "same-origin" }
    for cookie in cookies { headers.append(HTTPField(name: .setCookie, value: cookie)) }
  }

  /// Any bytes with a known tag.
  static func response(_ bytes: [UInt8], type: String, cacheControl: String, tag: String, for request: Request)
    -> Response
  {
    var headers = fields(type: type, cacheControl: cacheControl)
    headers[.eTag] = tag
    let known = request.headers[values: .ifNoneMatch].joined(separator: ",").split(separator: ",").map {
      $0.drop { $0 == " " }
    }
    if known.contains(where: { $0 == tag || $0 == "W/" + tag }) {
      headers[.contentType] = nil
      return Response(status: .notModified, headers: headers)
    }
    return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
  }

  /// An entity tag made from the bytes.
  static func tag(of bytes: [UInt8]) -> String {
    "\"" + SHA256.hash(data: bytes).prefix(12).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "\""
  }

  private static func fields(type: String?, cacheControl: String) -> HTTPFields {
    var headers: HTTPFields = [.cacheControl: cacheControl]
    headers[.contentType] = type
    for (name, value) in guards {
      if let name = HTTPField.Name(name) { headers[name] = value }
    }
    return headers
  }
}
