import Crypto
import HTTPTypes
import Ledger
import NIOCore
import NIOHTTP1

/// Answers requests to the ledger's routes without leaving their event loop.
final class LedgerService: Sendable {
  private let routes: [String: LedgerRoute]
  private let admission: Admission
  private let gate: LedgerGate
  private let completion: Completion
  private let problems: ProblemDetails

  init(
    routes: [LedgerRoute], admission: Admission, gate: LedgerGate, completion: Completion, problems: ProblemDetails
  ) {
    self.routes = Dictionary(uniqueKeysWithValues: routes.map { ($0.path, $0) })
    self.admission = admission
    self.gate = gate
    self.completion = completion
    self.problems = problems
  }

  /// A request to a route of the ledger's.
  struct Candidate {
    let route: LedgerRoute
    let method: HTTPRequest.Method
    let target: Target
    let headers: RequestHeaders
  }

  /// A request whose caller may make it, and what its log line will say.
  struct Admitted {
    let candidate: Candidate
    let caller: Caller
    let record: RequestRecord
  }

  /// A request to a route of the ledger's; nil for what the rest of the server answers.
  func candidate(_ head: HTTPRequestHead) -> Candidate? {
    guard head.method == .GET || head.method == .POST, head.uri.utf8.count <= RootResponder.maximumTarget else {
      return nil
    }
    let target = Target(head.uri)
    let method: HTTPRequest.Method = head.method == .GET ? .get : .post
    guard let route = routes[target.path], route.methods.contains(method) else { return nil }
    let headers = RequestHeaders(head.headers)
    guard method == .get || !headers.isBodyEncoded else { return nil }
    return Candidate(route: route, method: method, target: target, headers: headers)
  }

  struct Answer: Sendable {
    var head: HTTPResponseHead
    let body: [UInt8]
  }

  enum Admittance {
    case admitted(Admitted)
    case answer(Answer)
    /// The store would have to be asked first. Nothing has happened yet.
    case decline
  }

  /// Decides whether a request's caller may make it, as soon as its head is there: a body that never comes has cost its
  /// rate-limit slot.
  func admit(_ candidate: Candidate, peer: NetworkAddress?) -> Admittance {
    let record = RequestRecord()
    record.note { $0.route = candidate.route.path }
    do throws(Refusal) {
      guard
        let caller = try admission.admitAtOnce(
          candidate.headers, candidate.target, needs: LedgerRoute.needs, peer: peer, record: record)
      else {
        return .decline
      }
      return .admitted(Admitted(candidate: candidate, caller: caller, record: record))
    } catch {
      return .answer(finish(.failure(error), of: candidate, record))
    }
  }

  enum Step {
    case answer(Answer)
    /// `answer` will be called, once, on the event loop.
    case wait
  }

  /// Answers a request, or has it answered.
  func begin(
    _ request: Admitted, body: [UInt8], eventLoop: any EventLoop, answer: @escaping @Sendable (Answer) -> Void
  ) -> Step {
    let candidate = request.candidate
    let record = request.record
    if candidate.headers.announcedLength == 0, !body.isEmpty {
      admission.charge(body.count, to: request.caller, record)
    }
    do throws(Refusal) {
      let prepared = try gate.prepare(
        Incoming(
          method: candidate.method, target: candidate.target, body: candidate.method == .post ? body : [],
          caller: request.caller),
        idempotencyKeys: candidate.route.isIdempotent ? candidate.headers.idempotencyKeys : [], record: record,
        parse: candidate.route.operation)
      switch prepared {
      case .answered(let reply): return .answer(finish(.success(reply), of: candidate, record))
      case .submission(let submission):
        gate.submit(submission, on: eventLoop, record: record) { [self] in
          answer(finish($0, of: candidate, record))
        }
        return .wait
      }
    } catch {
      return .answer(finish(.failure(error), of: candidate, record))
    }
  }

  /// Answers a request that was let in, but did not come whole or not in time.
  func refuse(_ request: Admitted, _ refusal: Refusal) -> Answer {
    finish(.failure(refusal), of: request.candidate, request.record)
  }

  private func finish(_ result: Result<Reply, Refusal>, of candidate: Candidate, _ record: RequestRecord) -> Answer {
    let reply: Reply
    switch result {
    case .success(let success): reply = success
    case .failure(let refusal): reply = Reply(refusal, requestID: record.id)
    }
    return answer(reply, method: candidate.method.rawValue, candidate.target, candidate.headers, record)
  }

  private func answer(
    _ reply: Reply, method: String?, _ target: Target?, _ requestHeaders: RequestHeaders?, _ record: RequestRecord
  ) -> Answer {
    let isProblem = reply.status >= 400 && requestHeaders?.acceptsProblems == true
    let body = isProblem ? problems.body(of: reply.body, status: reply.status) : reply.body
    var headers = HTTPHeaders()
    headers.reserveCapacity(12)
    headers.append(.contentType, isProblem ? ProblemDetails.mediaType : "application/json")
    headers.append(.cacheControl, "no-store")
    headers.append(.contentLength, String(body.count))
    headers.append(.date, DateHeader.shared.text)
    reply.addHeaders(to: &headers)
    if let requestHeaders, let accepted = requestHeaders.acceptedSignatures, let method, let target, method != "HEAD" {
      do {
        try completion.sign(
          &headers, status: reply.status, method: method, target: target, requestHeaders, accepted,
          digest: SHA256.hash(data: body))
      } catch {
        record.note { $0.fault = "the response could not be signed: \(error)" }
      }
    }
    completion.finish(
      &headers, status: reply.status, method: method, isAPI: true, request: requestHeaders, record: record)
    return Answer(
      head: HTTPResponseHead(version: .http1_1, status: HTTPResponseStatus(statusCode: reply.status), headers: headers),
      body: method == "HEAD" ? [] : body)
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
      Reply(refusal, requestID: record.id), method: head?.method.rawValue, head.map { Target($0.uri) }, headers, record)
  }

  /// Takes the rate-limit slots of a request that did not come whole: it costs what it would have cost.
  ///
  /// - Parameter request: nil if not even its head could be read.
  func charge(unfinished request: IncomingRequest?, from peer: NetworkAddress?) {
    guard let admitted = request?.admitted else {
      let head = request?.head.request
      return admission.charge(
        head.map { RequestHeaders($0.headers) } ?? RequestHeaders(), Target(head?.uri ?? "/"),
        received: request?.received ?? 0, peer: peer)
    }
    // Those of its announced length were taken when it was admitted.
    guard admitted.candidate.headers.announcedLength == 0 else { return }
    admission.charge(request?.received ?? 0, to: admitted.caller, admitted.record)
  }

  /// The same without a log or metrics, for a server that has none.
  static func plainRefusal(_ refusal: Refusal) -> Answer {
    let body = refusal.body()
    return Answer(
      head: HTTPResponseHead(
        version: .http1_1, status: HTTPResponseStatus(statusCode: refusal.status),
        headers: [
          "Content-Type": "application/json", "Content-Length": String(body.count), "Date": DateHeader.shared.text,
        ]), body: body)
  }
}
