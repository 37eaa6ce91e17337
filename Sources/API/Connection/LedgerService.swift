import HTTPTypes
import Ledger
import NIOCore
import NIOHTTP1

/// Answers requests to the ledger's routes without leaving their event loop.
struct LedgerService: Sendable {
  private let routes: [String: LedgerRoute]
  private let admission: Admission
  private let gate: LedgerGate
  private let completion: Completion
  private let date = DateHeader()

  init(routes: [LedgerRoute], admission: Admission, gate: LedgerGate, completion: Completion) {
    self.routes = Dictionary(uniqueKeysWithValues: routes.map { ($0.path, $0) })
    self.admission = admission
    self.gate = gate
    self.completion = completion
  }

  /// A request that this service may be able to answer.
  struct Candidate {
    let route: LedgerRoute
    let method: HTTPRequest.Method
    let target: Target
    let headers: RequestHeaders
    /// In bytes, as announced.
    let bodyLength: Int
  }

  /// Whether a request is an ordinary one to a route of the ledger's. Whatever is rare (other versions of HTTP, bodies
  /// without a length, connections that are to be closed or upgraded, requests that will be refused for their size) is
  /// left to the rest of the server, which knows what to do.
  func candidate(_ head: HTTPRequestHead) -> Candidate? {
    guard head.version == .http1_1, head.method == .GET || head.method == .POST,
      head.uri.utf8.first == UInt8(ascii: "/"),
      head.uri.utf8.count <= Edge.maximumTarget
    else { return nil }
    let target = Target(head.uri)
    let method: HTTPRequest.Method = head.method == .GET ? .get : .post
    guard let route = routes[target.path], route.methods.contains(method) else { return nil }
    let headers = RequestHeaders(head.headers)
    guard !headers.isUnusual, let bodyLength = headers.announcedLength,
      bodyLength <= (method == .post ? BodyReader.maximumBody : 0)
    else { return nil }
    return Candidate(route: route, method: method, target: target, headers: headers, bodyLength: bodyLength)
  }

  struct Answer: Sendable {
    let head: HTTPResponseHead
    let body: [UInt8]
  }

  enum Step {
    case answer(Answer)
    /// `answer` will be called, once, on the event loop.
    case wait
    /// The store would have to be asked first. Nothing has happened yet.
    case decline
  }

  /// Answers a request, or has it answered.
  func begin(
    _ candidate: Candidate, body: [UInt8], peer: NetworkAddress?, eventLoop: any EventLoop,
    answer: @escaping @Sendable (Answer) -> Void
  ) -> Step {
    let record = RequestRecord()
    record.note { $0.route = candidate.route.path }
    do throws(Refusal) {
      guard let caller = try admission.admitAtOnce(candidate.headers, peer: peer, record: record) else {
        return .decline
      }
      let prepared = try gate.prepare(
        Incoming(method: candidate.method, target: candidate.target, body: body), by: caller,
        idempotencyKeys: candidate.route.isIdempotent ? candidate.headers.idempotencyKeys : [], record: record,
        parse: candidate.route.operation)
      switch prepared {
      case .answered(let reply): return .answer(finish(.success(reply), of: candidate, record))
      case .submission(let submission):
        gate.submit(submission, on: eventLoop, record: record) { answer(finish($0, of: candidate, record)) }
        return .wait
      }
    } catch {
      return .answer(finish(.failure(error), of: candidate, record))
    }
  }

  private func finish(_ result: Result<Reply, Refusal>, of candidate: Candidate, _ record: RequestRecord) -> Answer {
    let reply: Reply
    switch result {
    case .success(let success): reply = success
    case .failure(let refusal): reply = Reply(refusal, requestID: record.id)
    }
    return answer(
      reply, method: candidate.method.rawValue, isCrossOrigin: candidate.headers.origin != nil, record)
  }

  private func answer(
    _ reply: Reply, method: String?, isCrossOrigin: Bool, closes: Bool = false, _ record: RequestRecord
  ) -> Answer {
    var headers = HTTPHeaders()
    headers.reserveCapacity(12)
    headers.append(.contentType, "application/json")
    headers.append(.cacheControl, "no-store")
    headers.append(.contentLength, String(reply.body.count))
    headers.append(.date, date.text)
    if closes { headers.append(.connection, "close") }
    reply.addHeaders(to: &headers)
    completion.finish(
      &headers, status: reply.status, method: method, isAPI: true, isCrossOrigin: isCrossOrigin, record: record)
    return Answer(
      head: HTTPResponseHead(version: .http1_1, status: HTTPResponseStatus(statusCode: reply.status), headers: headers),
      body: method == "HEAD" ? [] : reply.body)
  }

  /// The answer to a request that is refused before it is routed: JSON, logged and counted like every other answer. The
  /// connection must be closed after it.
  ///
  /// - Parameter head: the request's head; nil if it could not be read.
  func refuse(_ refusal: Refusal, _ head: HTTPRequestHead?, from peer: NetworkAddress?) -> Answer {
    let record = RequestRecord()
    let headers = head.map { RequestHeaders($0.headers) }
    record.note { $0.address = admission.proxies.client(headers ?? RequestHeaders(), peer: peer) }
    return answer(
      Reply(refusal, requestID: record.id), method: head?.method.rawValue,
      isCrossOrigin: headers.map { $0.origin != nil } ?? true, closes: true, record)
  }

  /// The answer to bytes that are not an HTTP request. The connection must be closed after it.
  func answer(toUnreadable error: HTTPParserError, from peer: NetworkAddress?) -> Answer {
    let refusal =
      switch error {
      case .headerOverflow: Refusal(431, "The request's headers are too long.")
      case .invalidEOFState: Refusal(400, "The request's body could not be read to its end.")
      default: Refusal(400, "This is no HTTP/1.1 request.")
      }
    return refuse(refusal, nil, from: peer)
  }
}
