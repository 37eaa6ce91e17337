import API
import Fairness
import Foundation
import HTTPTypes
import Hummingbird
import Ledger

/// The pages that people read.
///
/// Everything that does not depend on the ledger is rendered once, at the start.
public struct Website: Routes {
  private let store: any LedgerStore
  private let days: any TransparencyStore
  private let renderer: OutcomeRenderer
  private let verifier: OutcomeVerifier
  private let templates: Templates
  private let assets: Assets
  private let layout: Layout
  private let permalinkPage: PermalinkPage
  private let transparencyPage: TransparencyPage
  private let searchPage: SearchPage
  private let overview: LogOverview
  private let signInPages: SignInPages
  private let dashboard: Dashboard
  private let previews = PreviewRenderer()
  /// Pages that are the same for everyone, by address.
  private let fixedPages: [String: PageResponses.Page]

  /// - Parameters:
  ///   - publicURL: where people reach the server, without a slash at its end.
  ///   - rootKey: of the Ed25519 key that signs daily roots, 32 bytes.
  ///   - parts: what the pages behind the sign-in work with.
  /// - Throws: if a template or the API's description is broken, which a build that passed its tests never is.
  public init(
    store: any LedgerStore, days: any TransparencyStore, log: LogParts, rootKey: [UInt8], renderer: OutcomeRenderer,
    verifier: OutcomeVerifier, publicURL: String, dashboard parts: DashboardParts
  ) throws {
    self.store = store
    self.days = days
    overview = LogOverview(log)
    self.renderer = renderer
    self.verifier = verifier
    let site = SiteAddress(publicURL)
    templates = try Templates(base: site.base)
    assets = Assets(base: site.base)
    layout = Layout(templates: templates, assets: assets)
    let sessionGuard = SessionGuard(accounts: parts.accounts, site: site, secret: parts.formSecret)
    signInPages = SignInPages(layout: layout, sessionGuard: sessionGuard, isSignUpOpen: parts.isSignUpOpen)
    dashboard = Dashboard(
      layout: layout, sessionGuard: sessionGuard, parts: parts, store: store, renderer: renderer, publicURL: publicURL)
    permalinkPage = PermalinkPage(layout: layout, renderer: renderer, publicURL: publicURL)
    transparencyPage = TransparencyPage(
      layout: layout, log: log, seedKey: store.seeds.publicKey, rootKey: rootKey)
    let guides = GuidePages(layout: layout)
    let reference = try ReferencePage(openAPI: openAPIDocument)
    searchPage = SearchPage(layout: layout, search: DocumentSearch(guides.sections + reference.sections))
    var pages = guides.pages
    pages["/api-docs"] = reference.html(layout: layout)
    let curl = "curl '\(publicURL)/api/dice?notation=2d6&clientSeed=hello'"
    pages["/"] = layout.html(
      .init(
        title: "Fairdraw: random draws that anyone can check",
        description: "Provably fair random numbers: committed before the draw, checked after it.",
        body: templates.render(
          "home",
          GeneratorForms.values.merging(["curl": curl, "copyCurl": HTML.copyButton(curl, label: "command")]) { $1 }),
        script: "draw.js"))
    pages["/verify"] = layout.html(
      .init(
        title: "Verify a draw – Fairdraw",
        description: "Recompute a draw in this browser from its seeds, step by step.",
        body: templates.render(
          "verify", GeneratorForms.values.merging(["assets": assets.path]) { value, _ in value }), script: "verify.js",
        section: "/verify"))
    fixedPages = pages.mapValues { PageResponses.Page($0) }
  }

  public var routes: [Route] {
    fixedPages.map { path, page in
      Route(path, .get, readsKey: false) { request, _ in page.response(to: request) }
    } + [
      Route("/assets/{hash}/{name}", .get, readsKey: false, handler: asset),
      // Where browsers look for it when what they show is no page of ours.
      Route("/favicon.ico", .get, readsKey: false, handler: icon),
      Route("/o/{shortId}", .get, readsKey: false, handler: outcome),
      Route("/o/{shortId}/og.png", .get, readsKey: false, handler: preview),
      Route("/docs/search", .get, readsKey: false, handler: search),
      Route("/seed", .get, readsKey: false, handler: seed),
      Route("/transparency", .get, readsKey: false, handler: transparency),
      Route("/robots.txt", .get, readsKey: false, handler: robots),
    ] + signInPages.routes + dashboard.routes
  }

  // MARK: Files

  @Sendable private func asset(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    guard let name = context.captures["name"], let asset = Assets.files[String(name)] else { throw Refusal.nothingHere }
    // A page of another release, from another server or an old tab, gets today's file, but not for good.
    let isCurrent = context.captures["hash"].map { $0 == assets.hash } == true
    return PageResponses.response(
      asset.bytes, type: asset.type, cacheControl: isCurrent ? "public, max-age=31536000, immutable" : "no-cache",
      tag: "\"\(assets.hash)\"", for: request)
  }

  @Sendable private func icon(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    PageResponses.response(
      PackageResources.icon_svg, type: "image/svg+xml", cacheControl: "public, max-age=86400",
      tag: "\"\(assets.hash)\"", for: request)
  }

  @Sendable private func robots(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let text = Array("User-agent: *\nDisallow: \(assets.base)/api/\nDisallow: \(assets.base)/dashboard\n".utf8)
    return PageResponses.response(
      text, type: "text/plain; charset=utf-8", cacheControl: "public, max-age=86400", tag: PageResponses.tag(of: text),
      for: request)
  }

  @Sendable private func search(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let (html, status) = searchPage.html(try FormFields(context.target.query).trimmed("q"))
    return status == 200
      ? PageResponses.Page(html).response(to: request) : PageResponses.errorPage(html, status: status)
  }

  // MARK: The logs

  @Sendable private func transparency(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let days = try await context.reading { () throws(StoreFailure) in
      try await self.days.publishedDays(before: nil, limit: TransparencyPage.mostDays)
    }
    let content = try await context.reading { () throws(StoreFailure) in try await overview.content() }
    let html = try transparencyPage.html(days, content, now: Date().milliseconds)
    return PageResponses.Page(html).response(to: request)
  }

  // MARK: Outcomes

  /// The draws from one seed. Whoever asks holds both the client seed and the hash, so one client seed shows nothing of
  /// another.
  @Sendable private func seed(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let query = try FormFields(context.target.query)
    let (clientSeed, serverHash) = (query.text("clientSeed"), query.trimmed("serverHash"))
    let page = SeedPage(layout: layout, renderer: renderer)
    func refused(_ problem: String, _ status: Int) -> Response {
      let html = page.html(clientSeed: clientSeed, serverHash: serverHash, problem: problem, found: nil)
      return PageResponses.errorPage(html, status: status)
    }
    guard !clientSeed.isEmpty || !serverHash.isEmpty else {
      return PageResponses.Page(page.html(clientSeed: "", serverHash: "", problem: nil, found: nil)).response(
        to: request)
    }
    let search: SeedPage.Search
    do {
      search = SeedPage.Search(
        clientSeed: try ClientSeed(clientSeed), serverHash: try ServerHash(hex: serverHash.lowercased()),
        before: try query["before"].map(Self.nonce))
    } catch let invalid as InvalidParameter {
      return refused("\(invalid.message).", 400)
    } catch is InvalidHash {
      return refused("serverHash must be 64 hexadecimal digits.", 400)
    }
    let reservation = try await context.reserveMemory(
      for: context.clientAddress().map { ResourceHolder.subscriber($0.subscriber) })
    defer { withExtendedLifetime(reservation) {} }
    let found = try await context.reading { () throws(StoreFailure) in
      try await store.outcomes(
        drawnFrom: search.serverHash, clientSeed: search.clientSeed, before: search.before ?? .max,
        limit: SeedPage.pageSize)
    }
    guard let found else { return refused("This server made no draw from this client seed and server hash.", 404) }
    let html = page.html(clientSeed: clientSeed, serverHash: serverHash, problem: nil, found: (search, found))
    return PageResponses.Page(html).response(to: request)
  }

  private static func nonce(_ text: String) throws(InvalidParameter) -> Int64 {
    guard let nonce = Int64(text), nonce >= 0 else {
      throw InvalidParameter(name: "before", reason: "must be a nonce, a whole number from 0")
    }
    return nonce
  }

  @Sendable private func outcome(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    let (record, reservation) = try await recorded(context)
    defer { withExtendedLifetime(reservation) {} }
    let from = try FormFields(context.target.query)["from"].map(Self.place) ?? 0
    let html = permalinkPage.html(
      record.outcome, verifier.verdict(on: record), try await logged(record.outcome, context), from: from)
    return PageResponses.Page(html).response(to: request)
  }

  /// A place in an outcome's list, from 0, as its page's links have it.
  private static func place(_ text: String) throws(Refusal) -> Int {
    guard (1...3).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let place = Int(text)
    else { throw Refusal.badRequest("from must be a whole number from 0 to 999") }
    return place
  }

  /// What the log has of an outcome; nil for one of a test key or of another service.
  private func logged(_ outcome: Outcome, _ context: FairdrawContext) async throws -> LoggedOutcome? {
    guard outcome.mode == .live, outcome.origin == nil else { return nil }
    let digest = LogDigest(of: outcome.logText(renderer.shortIDs.encode(outcome.id)))
    let place = try await context.reading { () throws(StoreFailure) in
      try await overview.parts.store.place(of: digest, drawn: outcome.created)
    }
    return try LoggedOutcome(place, drawn: outcome.created, now: Date().milliseconds)
  }

  @Sendable private func preview(_ request: Request, _ context: FairdrawContext) async throws -> Response {
    var found: (record: RecordedOutcome, reservation: MemoryBudget.Reservation)?
    do throws(Refusal) {
      found = try await recorded(context)
    } catch {
      // Whoever shows a link has to show something.
      guard error == Self.noSuchDraw else { throw error }
    }
    defer { withExtendedLifetime(found?.reservation) {} }
    guard let png = try await previews.png(of: found?.record.outcome, templates: templates) else {
      throw Refusal.overloaded("Too many pictures are being drawn; try again in a moment.", retryAfter: 2)
    }
    return PageResponses.response(
      png, type: "image/png", cacheControl: "public, max-age=\(found == nil ? 60 : 86_400)",
      tag: PageResponses.tag(of: png), for: request)
  }

  /// The outcome that the address names, with the memory that is reserved for it.
  private func recorded(
    _ context: FairdrawContext
  ) async throws(Refusal) -> (RecordedOutcome, MemoryBudget.Reservation) {
    let shortID = Array((context.captures["shortId"] ?? "").utf8)
    guard OutcomeOrigin.isShortID(shortID) else { throw Self.noSuchDraw }
    let holder = context.clientAddress().map { ResourceHolder.subscriber($0.subscriber) }
    let reservation = try await context.reserveMemory(for: holder)
    let record = try await context.reading { () throws(StoreFailure) in
      try await store.recordedOutcome(shortID: shortID)
    }
    guard let record else { throw Self.noSuchDraw }
    return (record, reservation)
  }

  private static let noSuchDraw = Refusal(
    404, "No draw has this short id. A short id is ten letters and digits, and capital letters matter.")

  // MARK: Errors

  /// A refusal, as a page to read.
  public var errorPage: ErrorPage {
    { [layout] refusal, requestID in
      let heading =
        switch refusal.status {
        case 404: "Not found"
        case 405: "Method not allowed"
        case 400..<500: "The request failed"
        default: "Server error"
        }
      var values: [String: Any] = ["heading": heading, "message": refusal.error]
      if refusal.status >= 500 { values["requestID"] = requestID }
      let html = layout.html(
        .init(
          title: "\(heading) – Fairdraw", description: refusal.error, body: layout.templates.render("error", values)))
      return PageResponses.errorPage(html, status: refusal.status)
    }
  }
}
