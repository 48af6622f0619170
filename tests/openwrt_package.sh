# shellcheck shell=bash
# Makes the package by its own Makefile, with stand-ins for what OpenWrt's buildroot has in the place of these includes.
#
# Sourced.

# package NAME PROGRAM FOLDER: what the Makefile installs, and its scripts beside it. Needs $work.
package() {
    # shellcheck disable=SC2154
    local sdk=$work/sdk
    mkdir -p "$sdk/include" "$sdk/feeds/packages/lang/rust" "$work/built/bin"
    cat >"$sdk/rules.mk" <<'FILE'
INSTALL_DIR:=install -d -m0755
INSTALL_BIN:=install -m0755
INSTALL_DATA:=install -m0644
INSTALL_CONF:=install -m0600
CP:=cp -fpR
INCLUDE_DIR:=$(TOPDIR)/include
FILE
    cat >"$sdk/include/package.mk" <<'FILE'
define BuildPackage
ifeq ($(WANTED),$(1))
all:
	$(call Package/$(1)/install,$(OUT))
	$$(file >$(OUT).postinst-pkg,$$(call Package/$(1)/postinst))
	$$(file >$(OUT).prerm-pkg,$$(call Package/$(1)/prerm))
	$$(file >$(OUT).conffiles,$$(call Package/$(1)/conffiles))
	$$(file >$(OUT).version,$(PKG_VERSION))
	$$(file >$(OUT).features,$(RUST_PKG_FEATURES))
endif
endef
FILE
    echo 'RUST_ARCH_DEPENDS:=@mips' >"$sdk/feeds/packages/lang/rust/rust-package.mk"
    cp "$2" "$work/built/bin/ecohttpd"
    make -s -C openwrt/ecohttpd TOPDIR="$sdk" WANTED="$1" OUT="$3" PKG_INSTALL_DIR="$work/built" \
        BUILD_VARIANT="$([ "$1" = ecohttpd ] && echo full || echo notls)" all
}
