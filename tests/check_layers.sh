#!/usr/bin/env bash
# The arrows of the design: which part may include which, third-party headers in one place each, file names unique.
set -u
cd "$(dirname "$0")/.." || exit 2

# part: the parts it may include, besides itself and include/
declare -A may=(
  [base]=""
  [simd]="base"
  [kernel]="simd base"
  [ops]="kernel simd base"
  [formats]="base"
  [model]="formats kernel base"
  [plan]="ops kernel simd model formats base"
  [image]="base"
  [builtin]="base"
  [train]="plan ops kernel simd model formats image base"
  [analysis]="train plan ops kernel simd model formats image base"
  [export]="train plan ops kernel simd model formats image base"
  [draw]="analysis train plan ops kernel simd model formats image base"
)
# Headers that stand in a single file (or directory, for the vector intrinsics). cJSON_Utils is not used.
third_party='cblas\.h|png\.h|jpeglib\.h|jerror\.h|cJSON\.h|zip\.h|cairo[a-z-]*\.h|omp\.h|cpuid\.h|protobuf-c\.h'

problems=0
complain() { echo "$*"; problems=$((problems + 1)); }

# FILE<tab>HEADER for every include; quoted ones keep their quotes.
includes() {
  grep -rnoE '^[[:space:]]*#[[:space:]]*include[[:space:]]*(<[^>]+>|"[^"]+")' --include='*.[ch]' --include='*.inc' "$@" |
    sed -E 's/^([^:]+):[0-9]+:.*include[[:space:]]*/\1\t/'
}

while IFS=$'\t' read -r file header; do
  part=${file#lib/}
  part=${part%%/*}
  [[ -v may[$part] ]] || { complain "$file: lib/$part is not a part the design knows"; continue; }
  name=${header//\"/}
  target=${name%%/*}
  case $name in
    dcls.h | dcls_tools.h | dcls_analysis.h | dcls_train.h | dcls_plot.h | dcls_recipe.h) ;;
    */*) [[ $target == "$part" || " ${may[$part]} " == *" $target "* ]] || complain "$file: $part may not include $header" ;;
    *) complain "$file: $header must be named from lib/, as \"$part/$name\"" ;;
  esac
done < <(includes lib | grep '"$')

while IFS=$'\t' read -r file header; do
  case $header in
    \"dcls.h\" | \"dcls_tools.h\" | \"dcls_analysis.h\" | \"dcls_train.h\" | \"dcls_plot.h\" | \"dcls_recipe.h\" | \<dcls.h\> | \<dcls_tools.h\> | \<dcls_analysis.h\> | \<dcls_train.h\> | \<dcls_plot.h\> | \<dcls_recipe.h\>) ;;
    \"*) [[ -e cli/${header//\"/} ]] || complain "$file: cli sees include/ alone, not $header" ;;
  esac
done < <(includes cli)

while IFS=$'\t' read -r file header; do
  case $header in
    \"dcls*.h\" | \<dcls*.h\>) [[ -e include/${header//[<>\"]/} ]] || complain "$file: $header is not in include/" ;;
    \"*) complain "$file: a public header includes $header" ;;
  esac
done < <(includes include)

while read -r count header; do
  ((count > 1)) && complain "$header is included in $count files: $(includes lib cli | grep -F "$header" | cut -f1 | tr '\n' ' ')"
done < <(includes lib cli | cut -f2 | grep -E "[</]($third_party)>$" | sort | uniq -c)

while IFS=$'\t' read -r file header; do
  [[ $file == lib/simd/* ]] || complain "$file: $header belongs in lib/simd"
done < <(includes lib cli | grep -E '<([a-z]+mmintrin|arm_neon|x86intrin)\.h>$')

while read -r name; do
  complain "file name $name is used twice: $(find include lib cli tests -name "$name" | tr '\n' ' ')"
done < <(find include lib cli tests -name '*.[chS]' -printf '%f\n' | sort | uniq -d)

((problems == 0)) && echo "every include follows the design"
((problems == 0))
