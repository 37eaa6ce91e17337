import HTTPTypes
import Hummingbird
import JSON
import Ledger
import NIOHTTP1
import NIOHTTPTypesHTTP1

/// A refusal as a page to read, with the request id that finds it in the log.
public typealias ErrorPage = @Sendable (Refusal, _ requestID: String) -> Response

/// Around every request: finds its route, lets in who may come in, and whatever happens inside, the client gets JSON (or,
/// where a person is reading, a page) with its request id, and the log one line.
struct RootResponder: HTTPResponder {
  let routes: RouteTable
  let admission: Admission
  let completion: Completion
  let memory: MemoryBudget
  let problems: ProblemDetails
  /// What a browser is shown instead of an error's JSON.
  let errorPage: ErrorPage?

  /// The longest request target, in bytes: path and query.
  static let maximumTarget = 64 * 1024

  @concurrent func respond(to request: Request, context: FairdrawContext) async throws -> Response {
    var context = context
    var response: Response
    do {
      context.target = Target(request.head.path ?? "/")
      context.headers = RequestHeaders(request.headers, host: request.head.authority)
      context.proxies = admission.proxies
      context.admission = admission
      context.completion = completion
      context.memory = memory
      if context.headers.acceptsProblems { context.problems = problems }
      response = try await answer(request, &context)
    } catch let refusal as Refusal {
      response = errorResponse(refusal, to: request, context)
    } catch let failure as StoreFailure {
      response = errorResponse(context.refusal(for: failure), to: request, context)
    } catch {
      context.record.note { $0.fault = "\(error)" }
      let fault = Refusal(
        500, "The server failed to process this request; it is safe to retry.", code: .internalError)
      response = errorResponse(fault, to: request, context)
    }
    if let accepted = context.headers.acceptedSignatures {
      await sign(&response, asked: accepted, by: request, context)
    }
    completion.finish(
      &response.headers, status: response.status.code, method: request.method.rawValue, isAPI: context.target.isAPI,
      request: context.headers, record: context.record)
    return request.method == .head ? response.createHeadResponse() : response
  }

  private func answer(_ request: Request, _ context: inout FairdrawContext) async throws -> Response {
    guard context.target.bytes.count <= Self.maximumTarget else {
      throw Refusal(
        414, "The request's path and query are longer than \(Self.maximumTarget) bytes; send a POST.",
        code: .targetTooLong)
    }
    if case .RAW = HTTPMethod(request.method) {
      throw Refusal(501, "This server does not know the method \(request.method.rawValue).", code: .notImplemented)
    }
    if request.method == .options, context.target.path == "*" { return Self.options(Self.allMethods) }
    guard let (route, captures) = routes.route(at: context.target.path) else {
      throw Refusal.nothingHere
    }
    context.captures = captures
    context.record.note { $0.route = route.path }
    guard let handler = route.handlers.first(where: { $0.method == request.method })?.handler else {
      return request.method == .options ? Self.options(route.methods) : wrongMethod(route, request, context)
    }
    if route.readsKey {
      context.caller = try await admission.admit(
        context.headers, context.target, needs: route.needs, peer: context.peer, record: context.record)
    }
    if request.method.hasBody, context.headers.isBodyEncoded { return encodedBody(request, context) }
    return try await handler(request, context)
  }

  /// Signs a response in JSON. One whose length is not known is sent while it is made, and cannot be signed.
  private func sign(
    _ response: inout Response, asked accepted: AcceptedSignatures, by request: Request, _ context: FairdrawContext
  ) async {
    guard request.method != .head, response.body.contentLength != nil,
      response.headers[.contentType]?.hasSuffix("json") == true
    else { return }
    do {
      let digest = try await response.body.digest()
      try completion.sign(
        &response.headers, status: response.status.code, method: request.method.rawValue, target: context.target,
        context.headers, accepted, digest: digest)
    } catch {
      context.note(fault: "the response could not be signed: \(error)")
    }
  }

  private func wrongMethod(_ route: Route, _ request: Request, _ context: FairdrawContext) -> Response {
    var response = errorResponse(
      Refusal(
        405, "This address allows only \(route.methods.joined(separator: ", ")).", code: .methodNotAllowed),
      to: request,
      context)
    response.headers[.allow] = Self.list(route.methods)
    return response
  }

  private func encodedBody(_ request: Request, _ context: FairdrawContext) -> Response {
    var response = errorResponse(
      Refusal(415, "The request's body has a Content-Encoding; send it without one.", code: .encodedBody), to: request,
      context)
    response.headers[.acceptEncoding] = "identity"
    return response
  }

  /// JSON, unless a browser asks for something that is not the API's.
  private func errorResponse(_ refusal: Refusal, to request: Request, _ context: FairdrawContext) -> Response {
    guard let errorPage, !context.target.isAPI,
      request.headers[values: .accept].contains(where: { $0.lowercased().contains("text/html") })
    else { return context.response(to: Reply(refusal, requestID: context.record.id)) }
    var response = errorPage(refusal, context.record.id)
    response.say(refusal.policy, retryAfter: refusal.retryAfter)
    return response
  }

  // MARK: OPTIONS and CORS

  private static let allMethods = ["GET", "HEAD", "POST", "PATCH", "DELETE"]
  private static let accepted =
    "x-api-key, authorization, content-type, idempotency-key, last-event-id, accept-signature, traceparent, tracestate"

  private static func list(_ methods: [String]) -> String { (methods + ["OPTIONS"]).joined(separator: ", ") }

  private static func options(_ methods: [String]) -> Response {
    var response = Response(status: .noContent)
    response.headers[.allow] = list(methods)
    response.headers[.accessControlAllowMethods] = list(allMethods)
    response.headers[.accessControlAllowHeaders] = accepted
    response.headers[.accessControlMaxAge] = "86400"
    return response
  }
}
