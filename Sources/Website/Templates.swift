import Foundation
import Mustache

/// The pages' templates, compiled once. A broken one keeps the server from starting.
package struct Templates: Sendable {
  private let library: MustacheLibrary
  /// What every address on a page begins with, `{{base}}` in the templates: ``SiteAddress/base``.
  private let base: String

  /// The file names' stems are the templates' names.
  package static let sources: [String: [UInt8]] = [
    "layout": PackageResources.layout_mustache,
    "home": PackageResources.home_mustache,
    "parameters": PackageResources.parameters_mustache,
    "outcome": PackageResources.outcome_mustache,
    "verify": PackageResources.verify_mustache,
    "seed": PackageResources.seed_mustache,
    "transparency": PackageResources.transparency_mustache,
    "reference": PackageResources.reference_mustache,
    "reference-contents": PackageResources.reference_contents_mustache,
    "guides": PackageResources.guides_mustache,
    "guide": PackageResources.guide_mustache,
    "guide-contents": PackageResources.guide_contents_mustache,
    "search": PackageResources.search_mustache,
    "found": PackageResources.found_mustache,
    "dashboard": PackageResources.dashboard_mustache,
    "sign-in": PackageResources.sign_in_mustache,
    "sign-up": PackageResources.sign_up_mustache,
    "overview": PackageResources.overview_mustache,
    "keys": PackageResources.keys_mustache,
    "key-new": PackageResources.key_new_mustache,
    "key-made": PackageResources.key_made_mustache,
    "key-revoke": PackageResources.key_revoke_mustache,
    "key-quota": PackageResources.key_quota_mustache,
    "usage": PackageResources.usage_mustache,
    "outcomes": PackageResources.outcomes_mustache,
    "request": PackageResources.request_mustache,
    "events": PackageResources.events_mustache,
    "chain": PackageResources.chain_mustache,
    "rotate": PackageResources.rotate_mustache,
    "rotated": PackageResources.rotated_mustache,
    "webhooks": PackageResources.webhooks_mustache,
    "webhook": PackageResources.webhook_mustache,
    "webhook-new": PackageResources.webhook_new_mustache,
    "webhook-secret": PackageResources.webhook_secret_mustache,
    "webhook-replace": PackageResources.webhook_replace_mustache,
    "webhook-delete": PackageResources.webhook_delete_mustache,
    "delivery": PackageResources.delivery_mustache,
    "deliveries": PackageResources.deliveries_mustache,
    "account": PackageResources.account_mustache,
    "account-delete": PackageResources.account_delete_mustache,
    "notes": PackageResources.notes_mustache,
    "steps": PackageResources.steps_mustache,
    "quota": PackageResources.quota_mustache,
    "error": PackageResources.error_mustache,
    "preview": PackageResources.preview_mustache,
  ]

  /// - Throws: ``BrokenTemplate``.
  package init(_ sources: [String: [UInt8]] = Self.sources, base: String = "") throws {
    self.base = base
    MustacheContentTypes.register(ByteEscapedHTML(), named: "PAGE")
    var library = MustacheLibrary()
    for (name, source) in sources {
      do {
        try library.register("{{% CONTENT_TYPE:PAGE}}\n" + String(decoding: source, as: UTF8.self), named: name)
      } catch {
        throw BrokenTemplate(name: name, reason: "\(error)")
      }
    }
    self.library = library
  }

  /// - Precondition: there is a template of that name.
  package func render(_ name: String, _ values: [String: Any]) -> String {
    let values = values.merging(["base": base]) { value, _ in value }
    guard let text = library.render(values, withTemplate: name) else {
      preconditionFailure("there is no template \(name)")
    }
    return text
  }
}

/// A template that is no Mustache.
package struct BrokenTemplate: Error, CustomStringConvertible {
  package let name: String
  package let reason: String
  package var description: String { "the page template \"\(name)\" is broken: \(reason)" }
}

/// swift-mustache escapes `Character` by `Character`, which lets a quotation mark with an accent through: see ``HTML``.
private struct ByteEscapedHTML: MustacheContentType {
  func escapeText(_ text: String) -> String { HTML.escape(text) }
}
