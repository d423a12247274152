# dcls: GNU make build. `make help` lists the targets; V=1 shows the commands.
#
# CC, CFLAGS, CPPFLAGS, LDFLAGS, LDLIBS, PREFIX, LIBDIR, DESTDIR are honoured. Objects go to build/<config>/, so builds
# with different compilers or sanitizers do not disturb each other; a change of flags rebuilds.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Plain `make`: as many jobs as there are processors, unless the caller said how many. Other goals see to it themselves.
JOBS ?= $(shell nproc 2>/dev/null || echo 1)
ifeq (,$(filter -j% --jobserver%,$(MAKEFLAGS))$(filter-out all,$(MAKECMDGOALS)))
MAKEFLAGS += -j$(JOBS)
endif

ifeq ($(origin CC),default)
CC := gcc
endif
AR ?= ar
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) '$(2)';)

# ---- configuration ------------------------------------------------------------------------------------------------
# SAN=1: AddressSanitizer and UndefinedBehaviorSanitizer; SAN=fuzz: these and libFuzzer's hooks (clang); COV=1: gcov.
# BLAS=openblas: matrix products by OpenBLAS instead of our own (CONTRIBUTING.md says why these are the default).

CONFIG := $(notdir $(firstword $(CC)))$(if $(SAN),-san$(filter-out 1,$(SAN)))$(if $(COV),-cov)$(if $(filter openblas,$(BLAS)),-openblas)
B := build/$(CONFIG)
ARCH := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))
X86_64 := $(filter x86_64,$(ARCH))
VERSION := $(shell sed -n 's/.*DCLS_VERSION_STRING *"\(.*\)"/\1/p' include/dcls.h)
SOVERSION := 0

PREFIX ?= /usr/local
ifneq ($(words $(PREFIX)),1)
$(error PREFIX must be one folder without blanks in its name; DESTDIR may have them)
endif
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share
MANDIR ?= $(DATADIR)/man

# ---- flags --------------------------------------------------------------------------------------------------------

WARNINGS := -Wall -Wextra -Wshadow -Wcast-qual -Wundef -Wvla -Wformat=2 -Wmissing-prototypes -Wstrict-prototypes \
            -Wpointer-arith -Wwrite-strings

# Loops over pixels gain from -O3. Lines for backtraces, not every variable: a fifth of the time to build. Whoever sets CFLAGS decides alone.
ifeq ($(origin CFLAGS),undefined)
CFLAGS := $(if $(COV),-O0,$(if $(SAN),-O1,-O2)) $(if $(COV)$(SAN),-g,-g1)
HOT_CFLAGS := $(if $(SAN)$(COV),,-O3)
endif

# Cheap protection. _FORTIFY_SOURCE needs optimisation and does not go with sanitizers.
HARDEN := -fstack-protector-strong $(if $(X86_64),-fcf-protection)
HARDEN += $(if $(SAN)$(COV)$(findstring FORTIFY,$(CFLAGS)$(CPPFLAGS)),,$(if $(filter -O1 -O2 -O3 -Os,$(CFLAGS)),-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2))
HARDEN_LINK := -Wl,-z,relro,-z,now

# a*b + c is never fused behind our back (-ffp-contract=off): both compilers then compute the same bits from the same C,
# and fused multiply-adds stand in lib/simd where they are written out. Nobody reads errno after sqrtf.
FLOAT := -ffp-contract=off -fno-math-errno

ifdef SAN
SANITIZE := -fsanitize=address,undefined,float-cast-overflow -fno-sanitize-recover=all -fno-omit-frame-pointer
ifeq ($(SAN),fuzz)
SANITIZE := -fsanitize=fuzzer-no-link $(SANITIZE)
endif
endif
ifdef COV
SANITIZE := --coverage -fprofile-update=atomic
endif

# Position-independent throughout: the same objects serve the static library, the shared one and the program.
ALL_CFLAGS = -std=c11 $(WARNINGS) $(FLOAT) -fPIC -fno-semantic-interposition -fvisibility=hidden \
             $(HARDEN) $(HOT) $(ISA) $(SANITIZE) $(CFLAGS)
ALL_CPPFLAGS = -D_GNU_SOURCE $(INCLUDES) $(CPPFLAGS)
ALL_LDFLAGS = $(HARDEN_LINK) -Wl,--as-needed $(SANITIZE) $(LDFLAGS)

# ---- libraries ----------------------------------------------------------------------------------------------------
# OpenBLAS must be the serial flavour: dcls brings its own threads. Debian's libopenblas.so.0 is an alternative that any
# package depending on the threaded flavour (numpy, for one) turns away from the serial one, so the serial directory goes
# into the run path of the program and of the shared library. BLAS_LIBS and BLAS_CFLAGS override.

BLAS ?= own
ifeq ($(filter own openblas,$(BLAS)),)
$(error BLAS is own or openblas, not '$(BLAS)')
endif
MULTIARCH := $(or $(shell $(CC) -print-multiarch 2>/dev/null),$(ARCH)-linux-gnu)
BLAS_DIR := $(patsubst %/,%,$(dir $(firstword $(wildcard /usr/lib/$(MULTIARCH)/openblas-serial/libopenblas.so))))
ifneq ($(BLAS_DIR),)
BLAS_CFLAGS ?= -I/usr/include/$(MULTIARCH)/openblas-serial
BLAS_LIBS ?= -L$(BLAS_DIR) -lopenblas -Wl,-rpath,$(BLAS_DIR)
else
BLAS_CFLAGS ?= $(shell pkg-config --cflags openblas 2>/dev/null)
BLAS_LIBS ?= -lopenblas
endif
USE_BLAS := $(if $(filter openblas,$(BLAS)),-DDCLS_USE_OPENBLAS $(BLAS_CFLAGS))

# cairo is opened when something is drawn, not linked.
CAIRO_CFLAGS ?= $(or $(shell pkg-config --cflags-only-I cairo 2>/dev/null),-I/usr/include/cairo)

# The messages of ONNX are generated from its schema, under a package name of ours so that every symbol begins with dcls_.
# libprotobuf-c is opened when a file is written, not linked.
ONNX_PROTO ?= /usr/include/onnx/onnx.proto
PROTOC_C ?= protoc-c
SCHEMA := $(B)/schema/export/onnx.pb-c.c

LIBS = $(if $(USE_BLAS),$(BLAS_LIBS)) -lpng -ljpeg -lcjson -pthread -lm -ldl $(LDLIBS)

# ---- sources ------------------------------------------------------------------------------------------------------

OTHER_ISA := $(if $(X86_64),,$(addprefix lib/simd/,vec_avx2.c vec_avx512.c bf16_avx2.c bf16_avx512.c bf16_native.c amx_native.c amx_vectors.c amx_pack.c))
TOOLS_SRC := $(wildcard lib/draw/*.c lib/export/*.c lib/builtin/*.c lib/train/*.c)
LIB_SRC := $(filter-out $(TOOLS_SRC) $(OTHER_ISA),$(wildcard lib/*/*.c))
CLI_SRC := $(wildcard cli/*.c)
TEST_SRC := $(wildcard tests/unit/test_*.c tests/golden/test_*.c)
SUPPORT_SRC := $(filter-out $(TEST_SRC),$(wildcard tests/unit/*.c tests/golden/*.c))
FUZZ_SRC := $(wildcard tests/fuzz/fuzz_*.c)

LIB_OBJ := $(LIB_SRC:%.c=$(B)/%.o)
TOOLS_OBJ := $(TOOLS_SRC:%.c=$(B)/%.o)
CLI_OBJ := $(CLI_SRC:%.c=$(B)/%.o)
SUPPORT_OBJ := $(SUPPORT_SRC:%.c=$(B)/%.o)
TEST_BIN := $(TEST_SRC:%.c=$(B)/%)
FUZZ_BIN := $(FUZZ_SRC:%.c=$(B)/%)
ALL_OBJ := $(LIB_OBJ) $(TOOLS_OBJ) $(CLI_OBJ) $(SUPPORT_OBJ) $(TEST_BIN:%=%.o) $(FUZZ_BIN:%=%.o) \
           $(B)/tests/fuzz/replay.o $(B)/tests/bench/bench_gemm.o $(B)/tests/bench/bench_fit.o $(B)/tests/bench/bench_construct.o \
           $(B)/tests/bench/bench_loader.o $(B)/tests/bench/bench_train.o

INCLUDES = -Iinclude -Ilib
$(CLI_OBJ): INCLUDES = -Iinclude
$(B)/tests/%.o: INCLUDES = -Iinclude -Ilib -I.
$(B)/lib/ops/gemm.o $(B)/tests/unit/test_gemm.o: INCLUDES += $(USE_BLAS)
$(B)/tests/bench/bench_gemm.o: INCLUDES += $(BLAS_CFLAGS)
$(B)/lib/draw/cairo.o: INCLUDES += $(CAIRO_CFLAGS)
$(B)/lib/export/%.o: INCLUDES += -I$(B)/schema
$(filter $(B)/lib/simd/% $(B)/lib/kernel/% $(B)/lib/ops/% $(B)/lib/image/%,$(LIB_OBJ)): HOT = $(HOT_CFLAGS)
$(filter $(B)/lib/train/%,$(TOOLS_OBJ)): HOT = $(HOT_CFLAGS)
# Nobody reads floating-point exceptions either, which keep gcc from vectorising choices between values.
$(B)/lib/train/augment_color.o: HOT = $(HOT_CFLAGS) -fno-trapping-math
# clang takes minutes to instrument the unrolled kernels; gcc, which takes seconds, is the compiler for checking those.
ifneq ($(and $(SAN),$(findstring clang,$(CC))),)
$(filter $(B)/lib/simd/%,$(LIB_OBJ)): SANITIZE =
endif
$(B)/lib/simd/vec_avx2.o $(B)/lib/simd/bf16_avx2.o: ISA = -mavx2 -mfma -mf16c
AVX512 := -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl
$(B)/lib/simd/vec_avx512.o $(B)/lib/simd/bf16_avx512.o: ISA = $(AVX512)
$(B)/lib/simd/bf16_native.o $(B)/lib/simd/amx_vectors.o $(B)/lib/simd/amx_pack.o: ISA = $(AVX512) -mavx512bf16
$(B)/lib/simd/amx_native.o: ISA = $(AVX512) -mavx512bf16 -mamx-tile -mamx-bf16

# Models that are part of the program, the default classifier first; part of libdcls_tools.a. WEIGHTS=none builds without.
CLASSIFIER := weights/convmixer256-dcls-cifar10.bin
WEIGHTS ?= $(wildcard $(CLASSIFIER)) $(filter-out $(CLASSIFIER),$(wildcard weights/*.bin))
EMBED := $(filter-out none,$(WEIGHTS))

# ---- building -----------------------------------------------------------------------------------------------------

LIB_A := $(B)/libdcls.a
TOOLS_A := $(B)/libdcls_tools.a
LIB_SO := $(if $(SAN)$(COV),,$(B)/libdcls.so.$(SOVERSION))

.PHONY: all libs tests fuzz-targets FORCE
all: libs $(if $(CLI_SRC),$(if $(SAN)$(COV),$(B)/dcls,dcls)) ## build ./dcls and the libraries (default); with SAN or COV in build/ alone
libs: $(LIB_A) $(TOOLS_A) $(LIB_SO) ## build the libraries alone

# The program stands at the top level whichever configuration was built last.
dcls: $(B)/dcls FORCE
	@cmp -s $< $@ || ln -f $< $@

# Files whose content is a setting: they change, and what depends on them is rebuilt, only when the setting does.
# $(call remember,FILE,TEXT)
remember = $(shell mkdir -p $(dir $(1)))$(if $(subst x$(strip $(2)),,x$(strip $(file <$(1)))),$(file >$(1),$(strip $(2))))
ifeq ($(filter clean help,$(MAKECMDGOALS)),)
$(call remember,$(B)/flags,$(CC) $(ALL_CFLAGS) $(ALL_CPPFLAGS) $(HOT_CFLAGS) $(USE_BLAS) $(CAIRO_CFLAGS))
$(call remember,$(B)/link-flags,$(ALL_LDFLAGS) $(LIBS))
$(call remember,$(B)/sources,$(LIB_SRC) $(TOOLS_SRC) $(CLI_SRC) $(SUPPORT_SRC) $(EMBED))
endif

# Warnings are kept beside the object: `make check` fails on any, also on those of an earlier build.
$(B)/%.o: %.c $(B)/flags
	$(call say,CC,$<)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $< 2>$@.log; status=$$?; cat $@.log >&2; exit $$status

$(LIB_A): $(LIB_OBJ) $(B)/sources
$(TOOLS_A): $(TOOLS_OBJ) $(B)/weights.o $(B)/sources
$(LIB_A) $(TOOLS_A):
	$(call say,AR,$@)rm -f $@
	$(Q)$(AR) rcs $@ $(filter %.o,$^)

$(B)/libdcls.so.$(SOVERSION): $(LIB_OBJ) $(B)/sources $(B)/link-flags
	$(call say,LD,$@)$(CC) -shared -Wl,-soname,$(@F) -Wl,-z,defs -Wl,-z,nodelete $(ALL_LDFLAGS) -o $@ $(LIB_OBJ) $(LIBS)

# The report's policy names its scripts and styles by their SHA-256, in base64.
PAGE_JS := lib/draw/page_base.js lib/draw/page_window.js lib/draw/page_main.js
PAGE_DIGESTS := $(B)/schema/draw/page_digests.h
$(B)/lib/draw/html.o: INCLUDES += -I$(B)/schema
$(B)/lib/draw/html.o: $(PAGE_DIGESTS) lib/draw/page.html
digest = "sha256-$$(cat $(1) | sha256sum | cut -c1-64 | tr a-f A-F | basenc -d --base16 | basenc --base64)"
$(PAGE_DIGESTS): lib/draw/page.css $(PAGE_JS)
	$(call say,GEN,$@)mkdir -p $(@D)
	$(Q)printf '#define DCLS_PAGE_%s_DIGEST "%s"\n' CSS $(call digest,lib/draw/page.css) JS $(call digest,$(PAGE_JS)) >$@
$(filter $(B)/lib/export/%,$(TOOLS_OBJ)): | $(SCHEMA)
$(SCHEMA): $(ONNX_PROTO)
	$(call say,GEN,$@)mkdir -p $(@D)
	$(Q)sed 's/^package onnx;/package dcls.onnx;/' $< >$(@D)/onnx.proto
	$(Q)$(PROTOC_C) --c_out=$(@D) --proto_path=$(@D) onnx.proto
$(ONNX_PROTO):
	@echo "$@, the schema of ONNX, is missing: 'make deps' installs it, or ONNX_PROTO=FILE names it" >&2; false

$(B)/weights.S: tools/embed.sh $(B)/sources
	$(call say,GEN,$@)sh tools/embed.sh $(EMBED) >$@
$(B)/weights.o: $(B)/weights.S $(EMBED)
	$(call say,AS,$<)$(CC) -c -o $@ $<

$(B)/dcls: $(CLI_OBJ) $(TOOLS_A) $(LIB_A) $(B)/link-flags
	$(call say,LD,$@)$(CC) -pie $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS)

tests: $(TEST_BIN) fuzz-targets ## build unit tests and fuzz targets
fuzz-targets: $(FUZZ_BIN)
$(TEST_BIN): %: %.o $(SUPPORT_OBJ) $(TOOLS_A) $(LIB_A) $(B)/link-flags
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) -lcmocka $(LIBS)
# Without libFuzzer a small main runs the target over the files it is given.
$(FUZZ_BIN): %: %.o $(if $(filter fuzz,$(SAN)),,$(B)/tests/fuzz/replay.o) $(TOOLS_A) $(LIB_A) $(B)/link-flags
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) $(if $(filter fuzz,$(SAN)),-fsanitize=fuzzer) -o $@ $(filter %.o %.a,$^) $(LIBS)

-include $(ALL_OBJ:.o=.d)

# ---- checking -----------------------------------------------------------------------------------------------------

# A make of its own, parallel unless the caller already said how much.
submake = +$(MAKE) $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(JOBS))

.PHONY: deps demo check check-report valgrind fuzz fuzz-smoke coverage lint format
deps: ## install the Debian packages that building and testing need
	@sh tools/deps.sh build test

demo: ## build, then show what dcls does (fetches two photographs, once)
	@sh tools/deps.sh build
	@$(submake) all
	@sh tests/demo.sh

check: ## build and run every test; the last line counts them
	@sh tools/deps.sh build test
	@$(submake) all tests
	@CC='$(CC)' BLAS_CFLAGS='$(BLAS_CFLAGS)' BLAS_LIBS='$(BLAS_LIBS)' tests/run.sh $(B)

# make check runs this too where Chromium is; it is too large to install for that alone.
check-report: ## test the HTML report in headless Chromium (installs it); screenshots in build/report
	@sh tools/deps.sh build test browser
	@$(submake) all
	@mkdir -p build/report
	@DCLS=./dcls tests/check_report.sh build/report $(MODEL)

fuzz: ## build the fuzz targets with clang and libFuzzer: build/clang-sanfuzz/tests/fuzz/
	@$(submake) CC=clang SAN=fuzz fuzz-targets

fuzz-smoke: fuzz ## run every fuzz target over its corpus
	@set -e; for f in $(FUZZ_SRC:tests/fuzz/fuzz_%.c=%); do \
	  echo "  FUZZ  $$f"; build/clang-sanfuzz/tests/fuzz/fuzz_$$f -runs=0 tests/fuzz/corpus/$$f >/dev/null 2>build/fuzz.log || { cat build/fuzz.log; exit 1; }; \
	done

valgrind: ## run the tests of C programs and of the command line under valgrind
	@sh tools/deps.sh build test memcheck
	@$(submake) all tests
	@MEMCHECK=1 RUN='$(or $(RUN),unit|test_golden|fuzz|bats)' tests/run.sh $(B)

coverage: ## line coverage of lib/ by the tests (gcovr)
	@find build -path '*-cov/*' -name '*.gcda' -delete 2>/dev/null || true
	@$(submake) COV=1 all tests
	@CC='$(CC)' tests/run.sh build/$(notdir $(firstword $(CC)))-cov
	@gcovr -r . --object-directory build/$(notdir $(firstword $(CC)))-cov -f 'lib/' -s

.PHONY: bench bench-gemm
bench: all $(B)/tests/bench/bench_construct ## speed beside ONNX Runtime and PyTorch on the same models (installs them; about 8 minutes)
	@sh tools/deps.sh test bench
	@tests/bench/peers.sh ./dcls $(B)/tests/bench/bench_construct
$(B)/tests/bench/bench_construct: %: %.o $(LIB_A) $(B)/link-flags
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS)
bench-gemm: $(B)/tests/bench/bench_gemm ## speed of matrix products, ours and OpenBLAS's
	@env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $<
$(B)/tests/bench/bench_gemm: %: %.o $(LIB_A) $(B)/link-flags
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(BLAS_LIBS) $(LIBS)

.PHONY: bench-kernels
bench-kernels: all ## what one DCLS layer costs against D and K: tests/bench/kernels.md and .svg
	@/usr/bin/python3 tests/bench/bench_kernels.py ./dcls build/bench/kernels

.PHONY: bench-fit
bench-fit: $(B)/tests/bench/bench_fit ## how well and how fast dense kernels become elements again
	@$< $(KERNELS)
$(B)/tests/bench/bench_fit: %: %.o $(LIB_A) $(B)/link-flags
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS)

.PHONY: bench-loader
bench-loader: $(B)/tests/bench/bench_loader ## pictures a second out of DATA=DIRECTORY, KIND=cifar or camvid
	@$< $(or $(KIND),cifar) $(DATA)
$(B)/tests/bench/bench_loader: %: %.o $(TOOLS_A) $(LIB_A) $(B)/link-flags
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS)

.PHONY: bench-train
bench-train: $(B)/tests/bench/bench_train ## training steps a second, and where the time of a step goes
	@$< $(SHAPE)
$(B)/tests/bench/bench_train: %: %.o $(TOOLS_A) $(LIB_A) $(B)/link-flags
	$(call say,LD,$@)$(CC) $(ALL_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(LIBS)

.PHONY: gallery
gallery: all ## draw the pictures of the README: doc/gallery/
	@sh tools/gallery.sh ./dcls

C_FILES = $(shell git ls-files '*.c' '*.h' '*.inc')
LINT_C = $(filter-out lib/export/onnx_schema.c,$(wildcard lib/*/*.c cli/*.c tests/unit/*.c tests/golden/*.c tests/fuzz/*.c))
SH_FILES = $(wildcard tools/*.sh tests/*.sh) .ci/run
lint: $(SCHEMA) $(PAGE_DIGESTS) ## clang-tidy, cppcheck, shellcheck, mandoc, clang-format: whichever are installed
	@CPPFLAGS='-D_GNU_SOURCE -Iinclude -Ilib -I. -I$(B)/schema $(USE_BLAS) $(CAIRO_CFLAGS)' SH_FILES='$(SH_FILES)' MAN='$(wildcard man/*.[1-9])' \
	  sh tools/lint.sh $(LINT_C)

format: ## clang-format all C files in place
	@clang-format -i $(C_FILES)

# ---- installing ---------------------------------------------------------------------------------------------------

PC_REL = $(shell realpath -m --relative-to='$(LIBDIR)/pkgconfig' '$(PREFIX)')
$(B)/%.pc: %.pc.in FORCE
	@sed -e 's|@prefix@|$${pcfiledir}/$(PC_REL)|' -e 's|@version@|$(VERSION)|' \
	  -e 's|@libdir@|$${prefix}$(patsubst $(PREFIX)%,%,$(LIBDIR))|' \
	  -e 's|@includedir@|$${prefix}$(patsubst $(PREFIX)%,%,$(INCLUDEDIR))|' \
	  -e 's|@libs_private@|$(LIBS)|' $< >$@

# What is installed where: MODE:SOURCE:DIRECTORY[:NAME]
INSTALLED = 755:$(B)/dcls:$(BINDIR) \
  644:include/dcls.h:$(INCLUDEDIR) 644:include/dcls_tools.h:$(INCLUDEDIR) 644:include/dcls_analysis.h:$(INCLUDEDIR) \
  644:include/dcls_train.h:$(INCLUDEDIR) 644:include/dcls_plot.h:$(INCLUDEDIR) 644:include/dcls_recipe.h:$(INCLUDEDIR) \
  644:$(LIB_A):$(LIBDIR) 644:$(TOOLS_A):$(LIBDIR) \
  755:$(B)/libdcls.so.$(SOVERSION):$(LIBDIR):libdcls.so.$(VERSION) \
  644:$(B)/dcls.pc:$(LIBDIR)/pkgconfig 644:$(B)/dcls_tools.pc:$(LIBDIR)/pkgconfig \
  $(foreach n,1 3 5 7,$(patsubst %,644:%:$(MANDIR)/man$(n),$(wildcard man/*.$(n)))) \
  $(patsubst %,644:%:$(DATADIR)/bash-completion/completions:dcls,$(wildcard completions/dcls.bash)) \
  $(patsubst %,644:%:$(DATADIR)/zsh/site-functions,$(wildcard completions/_dcls)) \
  $(patsubst %,644:%:$(DATADIR)/fish/vendor_completions.d,$(wildcard completions/dcls.fish)) \
  $(if $(EMBED),$(patsubst %,644:%:$(DATADIR)/dcls,$(EMBED) $(wildcard weights/*.md weights/SHA256SUMS)) \
    $(patsubst %,644:%:$(DATADIR)/dcls/arch,$(wildcard weights/arch/*.json)) \
    $(patsubst %,644:%:$(DATADIR)/dcls/recipes,$(wildcard weights/recipes/*.json)))

.PHONY: install uninstall dist clean help
install: all $(B)/dcls.pc $(B)/dcls_tools.pc ## install under $(DESTDIR)$(PREFIX)
	@set -e; IFS=:; for item in $(INSTALLED:%='%'); do set -- $$item; dir='$(DESTDIR)'$$3; \
	  mkdir -p "$$dir"; install -m "$$1" "$$2" "$$dir/$${4:-$${2##*/}}"; done
	@ln -sf libdcls.so.$(VERSION) '$(DESTDIR)$(LIBDIR)/libdcls.so.$(SOVERSION)'
	@ln -sf libdcls.so.$(SOVERSION) '$(DESTDIR)$(LIBDIR)/libdcls.so'

uninstall: ## remove what install put there
	@set -e; IFS=:; for item in $(INSTALLED:%='%'); do set -- $$item; rm -f '$(DESTDIR)'"$$3/$${4:-$${2##*/}}"; done
	@rm -f '$(DESTDIR)$(LIBDIR)/libdcls.so.$(SOVERSION)' '$(DESTDIR)$(LIBDIR)/libdcls.so'
	@rmdir '$(DESTDIR)$(DATADIR)/dcls/arch' '$(DESTDIR)$(DATADIR)/dcls/recipes' '$(DESTDIR)$(DATADIR)/dcls' 2>/dev/null || true

dist: ## source archive build/dcls-VERSION.tar.gz of the committed tree
	@mkdir -p build && git archive --prefix=dcls-$(VERSION)/ -o build/dcls-$(VERSION).tar.gz HEAD
	@echo build/dcls-$(VERSION).tar.gz

clean: ## remove everything that was built
	rm -rf build dcls

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' Makefile
	@echo 'Settings: CC CFLAGS LDFLAGS PREFIX DESTDIR  V=1 (commands)  SAN=1 (sanitizers)  COV=1 (gcov)  WEIGHTS=none  BLAS=openblas'
