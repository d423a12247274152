#!/bin/sh
# embed.sh FILE...: assembler source that puts model files into the program: the table lib/builtin/builtin.h declares,
# one entry for each FILE in the order given, named after the file without directory and .bin.
set -eu

echo '    .section .rodata'
n=0
for file in "$@"; do
  name=${file##*/}
  cat <<END
    .balign 64
.Ldata$n:
    .incbin "$file"
.Lend$n:
.Lname$n:
    .asciz "${name%.bin}"
END
  n=$((n + 1))
done

object() { # NAME SECTION: the start of a table or number for other files
  cat <<END
    .section $2
    .balign 8
    .globl $1
    .hidden $1
    .type $1, %object
$1:
END
}

object dcls_builtin_files '.data.rel.ro, "aw"'
i=0
while [ "$i" -lt "$n" ]; do
  echo "    .dc.a .Lname$i, .Ldata$i, .Lend$i - .Ldata$i"
  i=$((i + 1))
done
echo '    .size dcls_builtin_files, . - dcls_builtin_files'
object dcls_builtin_file_count .rodata
echo "    .dc.a $n"
echo '    .size dcls_builtin_file_count, . - dcls_builtin_file_count'
echo '    .section .note.GNU-stack, "", %progbits'
