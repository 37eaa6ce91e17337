import CCurl
import Foundation
import Ledger

extension HTTPSender {
  package struct Request: Sendable {
    package enum TimeLimit: Sendable {
      case whole(Duration)
      /// In which nothing comes.
      case pause(seconds: Int)
    }

    package let url: String
    package var headers: [(name: String, value: String)] = []
    /// What is posted; nil for a GET.
    package var body: [UInt8]?
    /// Where the connection goes, whatever address the URL's host has. The certificate is verified for the host.
    package var address: NetworkAddress?
    /// How many redirections are followed.
    package var redirections = 0
    /// The time for a connection, with TLS.
    package let connectTime: Duration
    package let timeLimit: TimeLimit
    /// The most bytes of a response's body that are read.
    package let longestBody: Int
    /// Takes the body of a response of status 200 piece by piece, however long, instead of ``Response/body``. The sender's
    /// thread waits for it.
    package var receive: (@Sendable ([UInt8]) throws -> Void)?

    package init(url: String, connectTime: Duration, timeLimit: TimeLimit, longestBody: Int) {
      (self.url, self.connectTime, self.timeLimit, self.longestBody) = (url, connectTime, timeLimit, longestBody)
    }
  }

  package struct Response: Sendable {
    package let status: Int
    /// By their names in lower case; of several of one name, the first.
    package let headers: [String: String]
    package let body: [UInt8]
    /// Why the body is not whole.
    package let failure: HTTPFailure?
  }
}

/// A request that is under way, and what came of it so far. Of one thread.
final class Transfer {
  typealias Continuation = CheckedContinuation<HTTPSender.Response, any Error>

  let id: Int
  let easy: UnsafeMutableRawPointer
  let continuation: Continuation
  private let request: HTTPSender.Request
  private let errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
  private var lists: [UnsafeMutablePointer<curl_slist>?] = []

  private var headSize = 0
  private var hasHead = false
  private var body: [UInt8] = []
  private var failure: (any Error)?

  private static let longestHead = 100 << 10

  /// - Returns: nil for what cannot be sent, or if libcurl lacks an option.
  init?(_ id: Int, _ request: HTTPSender.Request, _ continuation: Continuation) {
    guard let easy = curl_easy_init() else { return nil }
    (self.id, self.easy, self.request, self.continuation) = (id, easy, request, continuation)
    errorText.pointee = 0
    let isWellFormed = request.headers.allSatisfy { !$0.value.utf8.contains { $0 < 0x20 } }
    guard isWellFormed, setNumbers(), setTexts(), setLists(), setCallbacks() else { return nil }
  }

  /// After it was taken from the multi handle.
  deinit {
    curl_easy_cleanup(easy)
    for list in lists { curl_slist_free_all(list) }
    errorText.deallocate()
  }

  // MARK: Setting it up

  private func setNumbers() -> Bool {
    func milliseconds(_ time: Duration) -> Int { max(1, Int(time / .milliseconds(1))) }
    let limits =
      switch request.timeLimit {
      case .whole(let time): [(CURLOPT_TIMEOUT_MS, milliseconds(time))]
      case .pause(let seconds): [(CURLOPT_LOW_SPEED_LIMIT, 1), (CURLOPT_LOW_SPEED_TIME, seconds)]
      }
    let settings = [
      (CURLOPT_CONNECTTIMEOUT_MS, milliseconds(request.connectTime)),
      (CURLOPT_MAXAGE_CONN, Int(HTTPSender.idleTime.components.seconds)),
      (CURLOPT_FOLLOWLOCATION, request.redirections > 0 ? 1 : 0), (CURLOPT_MAXREDIRS, request.redirections),
      (CURLOPT_POSTFIELDSIZE, request.body?.count ?? 0),
      (CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1)), (CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2)),
      (CURLOPT_PATH_AS_IS, 1), (CURLOPT_DISALLOW_USERNAME_IN_URL, 1),
      (CURLOPT_NOSIGNAL, 1),  // signals are the whole process's
      (CURLOPT_QUICK_EXIT, 1),  // does not wait for a name server that does not answer
    ]
    return (limits + settings).allSatisfy { ccurl_set_number(easy, $0, $1) == CURLE_OK }
  }

  private func setTexts() -> Bool {
    let settings = [
      (CURLOPT_URL, request.url), (CURLOPT_PROTOCOLS_STR, "http,https"), (CURLOPT_REDIR_PROTOCOLS_STR, "http,https"),
      (CURLOPT_PROXY, ""),  // nor one that the environment names
    ]
    // Which makes it a POST.
    return settings.allSatisfy { ccurl_set_pointer(easy, $0, $1) == CURLE_OK }
      && (request.body.map { ccurl_set_pointer(easy, CURLOPT_COPYPOSTFIELDS, $0) == CURLE_OK } ?? true)
  }

  private func setLists() -> Bool {
    var headers = request.headers.map { $0.value.isEmpty ? "\($0.name);" : "\($0.name): \($0.value)" }
    headers += ["Accept:", "Content-Type:", "Expect:"]  // none of those that libcurl adds by itself
    // For any host that libcurl reads in the URL. A kept connection serves only the same host at the same address.
    let address = request.address.map { [$0.bytes.count == 4 ? "::\($0):" : "::[\($0)]:"] } ?? []
    return [(CURLOPT_HTTPHEADER, headers), (CURLOPT_CONNECT_TO, address)].allSatisfy { option, lines in
      lists.append(lines.reduce(nil) { curl_slist_append($0, $1) })
      return ccurl_set_pointer(easy, option, lists.last ?? nil) == CURLE_OK
    }
  }

  private func setCallbacks() -> Bool {
    let this = Unmanaged.passUnretained(self).toOpaque()
    let pointers = [
      (CURLOPT_OPENSOCKETDATA, this), (CURLOPT_HEADERDATA, this), (CURLOPT_WRITEDATA, this),
      (CURLOPT_ERRORBUFFER, UnsafeMutableRawPointer(errorText)),
    ]
    return pointers.allSatisfy { ccurl_set_pointer(easy, $0, $1) == CURLE_OK }
      && ccurl_set_opener(easy, CURLOPT_OPENSOCKETFUNCTION, Self.openSocket) == CURLE_OK
      && ccurl_set_taker(easy, CURLOPT_HEADERFUNCTION, { Transfer.at($3).takeHead($0, $1 * $2) }) == CURLE_OK
      && ccurl_set_taker(easy, CURLOPT_WRITEFUNCTION, { Transfer.at($3).takeBody($0, $1 * $2) }) == CURLE_OK
  }

  // MARK: What libcurl calls meanwhile

  private static func at(_ pointer: UnsafeMutableRawPointer?) -> Transfer {
    guard let pointer else { preconditionFailure("libcurl forgot whose this is") }
    return Unmanaged<Transfer>.fromOpaque(pointer).takeUnretainedValue()
  }

  /// Looks once more where the connection really goes.
  private static let openSocket: curl_opensocket_callback = { transfer, _, address in
    guard let address, let goal = ccurl_address(address) else { return CURL_SOCKET_BAD }
    if let wanted = Transfer.at(transfer).request.address, NetworkAddress(goal) != wanted { return CURL_SOCKET_BAD }
    let kind = address.pointee.socktype | CInt(SOCK_CLOEXEC.rawValue)
    return socket(address.pointee.family, kind, address.pointee.protocol)
  }

  /// Takes a line of the head, with its end.
  ///
  /// - Returns: its length, or 0 to break off.
  private func takeHead(_ bytes: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int {
    let line = UnsafeRawBufferPointer(start: bytes, count: count)
    if line.starts(with: "HTTP/".utf8) { (headSize, hasHead) = (0, false) }
    headSize += count
    // An empty line ends it; an interim response of 1xx is followed by another.
    if line.first == UInt8(ascii: "\r") || line.first == UInt8(ascii: "\n"), status >= 200 { hasHead = true }
    if headSize > Self.longestHead { failure = HTTPFailure.notHTTP }
    return failure == nil ? count : 0
  }

  private func takeBody(_ bytes: UnsafeMutablePointer<CChar>?, _ count: Int) -> Int {
    let piece = UnsafeRawBufferPointer(start: bytes, count: count)
    if let receive = request.receive, status == 200 {
      do { try receive(Array(piece)) } catch { failure = error }
    } else {
      let room = request.longestBody - body.count
      body.append(contentsOf: piece.prefix(room))
      if count > room { failure = HTTPFailure.tooLong(request.longestBody) }
    }
    return failure == nil ? count : 0
  }

  // MARK: What came of it

  private var status: Int { ccurl_number(easy, CURLINFO_RESPONSE_CODE) }

  func result(_ code: CURLcode) -> Result<HTTPSender.Response, any Error> {
    let failure = failure ?? (code == CURLE_OK ? nil : httpFailure(code))
    // libcurl does not mind a head that ends half-way.
    guard hasHead, failure is HTTPFailure? else { return .failure(failure ?? HTTPFailure.closed) }
    var headers: [String: String] = [:]
    var last: UnsafeMutablePointer<curl_header>?
    while let header = curl_easy_nextheader(easy, CUnsignedInt(CURLH_HEADER), -1, last) {
      let name = String(cString: header.pointee.name).lowercased()
      if headers[name] == nil { headers[name] = String(cString: header.pointee.value) }
      last = header
    }
    return .success(.init(status: status, headers: headers, body: body, failure: failure as? HTTPFailure))
  }

  private func httpFailure(_ code: CURLcode) -> HTTPFailure {
    HTTPFailure(
      code, text: String(cString: errorText), errno: CInt(ccurl_number(easy, CURLINFO_OS_ERRNO)),
      host: URLComponents(string: request.url)?.host ?? request.url,
      // The time of the connection is only told when TLS is there too.
      hasConnected: ccurl_number(easy, CURLINFO_LOCAL_PORT) > 0,
      hasBegun: ccurl_number(easy, CURLINFO_PRETRANSFER_TIME_T) > 0)
  }
}
