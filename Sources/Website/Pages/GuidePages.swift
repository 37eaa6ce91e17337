/// The documents of this project for people, from the same files that the repository shows.
struct GuidePages: Sendable {
  struct Guide: Sendable {
    /// The last part of its address.
    let name: String
    let summary: String
    let source: [UInt8]
  }

  static let guides = [
    Guide(
      name: "verifying", summary: "Check a draw: on this site, in a terminal, or in your own program.",
      source: PackageResources.verifying_md),
    Guide(
      name: "idempotency", summary: "How to retry a request without drawing twice.",
      source: PackageResources.idempotency_md),
    Guide(
      name: "batches", summary: "Up to fifty draws in one request, and what a partial failure means.",
      source: PackageResources.batches_md),
    Guide(
      name: "webhooks", summary: "Get an event for every draw, with signatures and retries.",
      source: PackageResources.webhooks_md),
    Guide(
      name: "raffles", summary: "For organisers: from a list of entrants to winners that anyone can check.",
      source: PackageResources.raffles_md),
    Guide(
      name: "dashboard", summary: "For account holders: keys, usage, outcomes and webhooks in the browser.",
      source: PackageResources.dashboard_md),
    Guide(
      name: "transparency",
      summary: "The continuous and the daily log: entries, signatures, proofs, and how to check them.",
      source: PackageResources.transparency_md),
    Guide(
      name: "derivation", summary: "The complete mathematics: how values follow from seeds.",
      source: PackageResources.derivation_md),
    Guide(
      name: "seeds", summary: "Why a chain has only one possible server seed, and how a proof shows it.",
      source: PackageResources.seeds_md),
    Guide(
      name: "verifiers", summary: "Two small programs that recompute a draw.",
      source: PackageResources.verifiers_md),
    Guide(
      name: "api", summary: "The reference: endpoints, fields, errors, limits.",
      source: PackageResources.api_md),
    Guide(
      name: "errors", summary: "Each error code: what it means, what to do, and whether to retry.",
      source: PackageResources.errors_md),
    Guide(
      name: "moving", summary: "For clients of Provable.io: what is the same, and what differs.",
      source: PackageResources.moving_md),
    Guide(
      name: "operations", summary: "How to install, configure, back up and watch a server.",
      source: PackageResources.operations_md),
    Guide(
      name: "evidence", summary: "How to get random numbers in bulk, and how to test them.",
      source: PackageResources.evidence_md),
    Guide(
      name: "regulators", summary: "What rules for gaming ask of a random-number generator, and what there is for it.",
      source: PackageResources.regulators_md),
    Guide(
      name: "proxies", summary: "Configurations for nginx, Caddy and HAProxy, and what they must do.",
      source: PackageResources.proxies_md),
    Guide(
      name: "postgresql", summary: "How to run several servers on a PostgreSQL database.",
      source: PackageResources.postgresql_md),
    Guide(
      name: "ha", summary: "Three nodes with Patroni, etcd and HAProxy, of which one may be lost at any time.",
      source: PackageResources.ha_md),
    Guide(
      name: "scale", summary: "What one database carries, and cells: several databases behind one address.",
      source: PackageResources.scale_md),
    Guide(
      name: "architecture", summary: "For people who change the code: its parts, and what must always hold.",
      source: PackageResources.architecture_md),
  ]

  /// The pages by address: `/docs` and one for each guide.
  let pages: [String: String]
  /// What can be searched for.
  let sections: [DocumentSearch.Section]

  init(layout: Layout) {
    let rendered = Self.guides.map { guide in
      (
        guide,
        Markdown(String(decoding: guide.source, as: UTF8.self)) {
          Self.resolve($0, from: guide.name, assets: layout.assets)
        }
      )
    }
    let titles = rendered.map { guide, document in (guide, document.headings.first?.text ?? guide.name) }
    func contents(current: String?) -> [[String: Any]] {
      titles.map { guide, title in
        ["address": "/docs/\(guide.name)", "title": title, "summary": guide.summary, "current": guide.name == current]
      }
    }
    var pages = [
      "/docs": layout.html(
        .init(
          title: "Guides – Fairdraw", description: "How to retry, batch, verify and audit draws.",
          body: layout.templates.render("guides", ["guides": contents(current: nil)]), section: "/docs"))
    ]
    for ((guide, document), (_, title)) in zip(rendered, titles) {
      let sections = document.headings.filter { $0.level == 2 }.map { ["anchor": $0.anchor, "text": $0.text] }
      let body = layout.templates.render(
        "guide",
        [
          "guides": contents(current: guide.name), "sections": sections, "hasSections": !sections.isEmpty,
          "document": document.html,
        ])
      pages["/docs/\(guide.name)"] = layout.html(
        .init(
          title: "\(title) – Fairdraw", description: guide.summary, body: body, section: "/docs", isWide: true))
    }
    self.pages = pages
    sections = zip(rendered, titles).flatMap { guide, title in
      guide.1.sections.map { heading, text in
        DocumentSearch.Section(
          title: heading.text, page: title.1, address: "/docs/\(title.0.name)#\(heading.anchor)", text: text)
      }
    }
  }

  /// A link between documents, as an address of this site; nil for what the site does not have.
  static func resolve(_ link: String, from guide: String, assets: Assets) -> String? {
    if link.hasPrefix("#") || link.hasPrefix("https:") || link.hasPrefix("http:") { return link }
    let parts = link.split(separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
    let anchor = parts.count > 1 ? "#\(parts[1])" : ""
    let file = parts[0].split(separator: "/").last.map(String.init) ?? ""
    if parts[0].hasSuffix("verifiers/README.md") || parts[0] == "verifiers" {
      return "\(assets.base)/docs/verifiers" + anchor
    }
    // Files of the same name are in several folders.
    let isIn = { (folder: String) in parts[0].hasPrefix(folder) }
    let asset = isIn("proxies/") || isIn("ha/") ? String(parts[0]).replacing("/", with: "-") : file
    if Assets.files[asset] != nil { return "\(assets.path)/\(asset)" }
    guard !parts[0].contains("../") || guide == "verifiers", file.hasSuffix(".md") else { return nil }
    let name = String(file.dropLast(3))
    return guides.contains { $0.name == name } ? "\(assets.base)/docs/\(name)\(anchor)" : nil
  }
}
