# SPDX-License-Identifier: Apache-2.0
#
# Compiler and linker options, each probed by itself, so that a compiler
# that lacks one still builds with the others.

# LARDER_TRY_CFLAG(VARIABLE, OPTION)
# Appends OPTION to VARIABLE if the C compiler takes it without a complaint.
# clang only warns about an option that it does not know, hence -Werror.
AC_DEFUN([LARDER_TRY_CFLAG], [
AS_VAR_PUSHDEF([cached], [larder_cv_cflag_$2])
AC_CACHE_CHECK([whether $CC takes $2], [cached], [
	larder_saved_cflags=$CFLAGS
	CFLAGS="$CFLAGS -Werror $2"
	AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
		[AS_VAR_SET([cached], [yes])], [AS_VAR_SET([cached], [no])])
	CFLAGS=$larder_saved_cflags
])
AS_VAR_IF([cached], [yes], [AS_VAR_APPEND([$1], [" $2"])])
AS_VAR_POPDEF([cached])
])

# LARDER_TRY_CFLAGS(VARIABLE, OPTIONS)
AC_DEFUN([LARDER_TRY_CFLAGS], [
m4_foreach_w([option], [$2], [LARDER_TRY_CFLAG([$1], m4_defn([option]))])
])

# LARDER_TRY_LDFLAG(VARIABLE, OPTION)
# The same for linking.
AC_DEFUN([LARDER_TRY_LDFLAG], [
AS_VAR_PUSHDEF([cached], [larder_cv_ldflag_$2])
AC_CACHE_CHECK([whether $CC links with $2], [cached], [
	larder_saved_cflags=$CFLAGS
	larder_saved_ldflags=$LDFLAGS
	CFLAGS="$CFLAGS -Werror"
	LDFLAGS="$LDFLAGS $2"
	AC_LINK_IFELSE([AC_LANG_PROGRAM()],
		[AS_VAR_SET([cached], [yes])], [AS_VAR_SET([cached], [no])])
	CFLAGS=$larder_saved_cflags
	LDFLAGS=$larder_saved_ldflags
])
AS_VAR_IF([cached], [yes], [AS_VAR_APPEND([$1], [" $2"])])
AS_VAR_POPDEF([cached])
])

# LARDER_TRY_LDFLAGS(VARIABLE, OPTIONS)
AC_DEFUN([LARDER_TRY_LDFLAGS], [
m4_foreach_w([option], [$2], [LARDER_TRY_LDFLAG([$1], m4_defn([option]))])
])
