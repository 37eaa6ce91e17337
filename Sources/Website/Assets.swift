import Crypto
import HTTPTypes

/// The files that pages load: style, scripts, the verifiers; and those that guides refer to. Their address has a hash of all of them in it, so a browser may
/// keep them for good, and scripts can import each other by name.
struct Assets: Sendable {
  struct Asset: Sendable {
    let type: String
    let bytes: [UInt8]
  }

  static let files: [String: Asset] = [
    "site.css": Asset(type: "text/css; charset=utf-8", bytes: PackageResources.site_css),
    "dashboard.css": Asset(type: "text/css; charset=utf-8", bytes: PackageResources.dashboard_css),
    "icon.svg": Asset(type: "image/svg+xml", bytes: PackageResources.icon_svg),
    "common.js": script(PackageResources.common_js),
    "draw.js": script(PackageResources.draw_js),
    "outcome.js": script(PackageResources.outcome_js),
    "dashboard.js": script(PackageResources.dashboard_js),
    "verify.js": script(PackageResources.verify_js),
    "transparency.js": script(PackageResources.transparency_js),
    "reference.js": script(PackageResources.reference_js),
    "fairdraw-verify.js": script(PackageResources.fairdraw_verify_js),
    "fairdraw_verify.py": Asset(type: "text/x-python; charset=utf-8", bytes: PackageResources.fairdraw_verify_py),
    "proxies-nginx.conf": text(PackageResources.proxies_nginx_conf),
    "proxies-haproxy.cfg": text(PackageResources.proxies_haproxy_cfg),
    "proxies-haproxy-cells.cfg": text(PackageResources.proxies_haproxy_cells_cfg),
    "proxies-cells.map": text(PackageResources.proxies_cells_map),
    "proxies-keys.map": text(PackageResources.proxies_keys_map),
    "proxies-Caddyfile": text(PackageResources.proxies_Caddyfile),
    "ha-etcd.env": text(PackageResources.ha_etcd_env),
    "ha-fairdraw.conf": text(PackageResources.ha_fairdraw_conf),
    "ha-haproxy.cfg": text(PackageResources.ha_haproxy_cfg),
    "ha-patroni.yml": text(PackageResources.ha_patroni_yml),
  ]

  private static func script(_ bytes: [UInt8]) -> Asset { Asset(type: "text/javascript; charset=utf-8", bytes: bytes) }

  private static func text(_ bytes: [UInt8]) -> Asset { Asset(type: "text/plain; charset=utf-8", bytes: bytes) }

  /// The hash in the address: 16 hex digits.
  let hash: String
  /// What every address on a page begins with: ``SiteAddress/base``.
  let base: String
  /// Where the files are: `/assets/<hash>`.
  var path: String { "\(base)/assets/\(hash)" }

  init(base: String) {
    self.base = base
    var sha = SHA256()
    for (name, asset) in Self.files.sorted(by: { $0.key < $1.key }) {
      sha.update(data: Array("\(name) \(asset.bytes.count)\n".utf8))
      sha.update(data: asset.bytes)
    }
    hash = sha.finalize().prefix(8).map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }.joined()
  }
}
